#!/usr/bin/env bash
# Sets up the test environment in .venv when needed and runs every check; arguments pass through to pytest.
set -euo pipefail
# shellcheck source=packaging/setup.sh
. "$(dirname -- "${BASH_SOURCE[0]}")/setup.sh"

ensure_environment test
cd "$root"
export PATH="$venv/bin:$PATH"

# Validators of the desktop entry and its metadata: their tests skip, saying so, where they cannot be had.
install_validators() {
  is_root && command -v apt-get >/dev/null || return 0
  command -v desktop-file-validate >/dev/null && command -v appstreamcli >/dev/null && return 0
  apt_install desktop-file-utils appstream || say "desktop-file-utils and appstream could not be installed."
}

summary=()
failed=0

check() {
  local name=$1 started=$SECONDS outcome=passed
  shift
  printf '\n== %s\n' "$name"
  "$@" </dev/null || {
    outcome=FAILED
    failed=1
  }
  summary+=("$(printf '%-14s %-7s %4d s' "$name" "$outcome" $((SECONDS - started)))")
}

install_validators

# One torch thread for each of the two workers: more only wait for each other.
export QT_QPA_PLATFORM=offscreen HF_HUB_OFFLINE=1 OMP_NUM_THREADS=1
unset DISPLAY WAYLAND_DISPLAY

check 'ruff check' ruff check
check 'ruff format' ruff format --check
check 'pyright' basedpyright
check 'lint-imports' lint-imports
check 'pytest' pytest -n 2 -m 'not slow and not benchmark_suite' "$@"

printf '\n== Summary\n'
printf '%s\n' "${summary[@]}"
exit "$failed"
