#!/usr/bin/env bash
# Builds the wheel, installs it into a new environment outside the checkout, and lets it edit a sample with no network.
# Takes minutes and some GB in a temporary folder; `packaging/check_wheel.sh FOLDER` keeps the work in FOLDER.
set -euo pipefail
# shellcheck source=packaging/setup.sh
. "$(dirname -- "${BASH_SOURCE[0]}")/setup.sh"

ensure_environment test
if [ $# -gt 0 ]; then
  mkdir -p "$1"
  work=$(cd -- "$1" && pwd -P)
else
  work=$(mktemp -d)
  trap 'rm -rf "$work"' EXIT
fi

"$venv/bin/python" -m build --wheel --no-isolation --outdir "$work/dist" "$root"
python3=$(find_python)
"$python3" -m venv --clear "$work/venv"
pins=(--disable-pip-version-check --no-input -qq -c "$root/packaging/constraints.txt")
"$work/venv/bin/python" -m pip install "${pins[@]}" --upgrade pip
"$work/venv/bin/python" -m pip install "${pins[@]}" "$work"/dist/sfumato-*.whl

# A user namespace lets everybody cut the network off, where the system permits it.
cut_off=(unshare -n)
is_root || cut_off=(unshare -rn)
cd /
env -i PATH=/usr/bin:/bin HOME="$work/home" LANG=C.UTF-8 QT_QPA_PLATFORM=offscreen \
  "${cut_off[@]}" "$work/venv/bin/sfumato" --self-test
