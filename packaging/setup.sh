# shellcheck shell=bash
# Sourced by run.sh and test.sh: makes .venv in the checkout and keeps it in step with pyproject.toml and
# constraints.txt. A start that finds everything in place costs one hash of two small files.

root=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")/.." && pwd -P)
venv=$root/.venv
unfinished=$venv/sfumato-unfinished

# Debian's package for each shared library Qt links to; the second list only for a real display.
base_libraries=(
  libGL.so.1:libgl1 libEGL.so.1:libegl1 libxkbcommon.so.0:libxkbcommon0 libdbus-1.so.3:libdbus-1-3
  libfontconfig.so.1:libfontconfig1 libgthread-2.0.so.0:libglib2.0-0
)
display_libraries=(
  libxcb-cursor.so.0:libxcb-cursor0 libxcb-icccm.so.4:libxcb-icccm4 libxcb-keysyms.so.1:libxcb-keysyms1
  libxcb-shape.so.0:libxcb-shape0 libxkbcommon-x11.so.0:libxkbcommon-x11-0
)

say() { printf '%s\n' "$*" >&2; }

fail() {
  say "$*"
  exit 1
}

is_root() { [ "$(id -u)" -eq 0 ]; }

# Prints the Debian packages of those "library:package" pairs whose library is not there.
missing_packages() {
  local known pair
  known=$(/sbin/ldconfig -p 2>/dev/null || ldconfig -p 2>/dev/null) || return 0
  for pair in "$@"; do
    case $known in
      *"${pair%%:*} "*) ;;
      *) printf '%s ' "${pair#*:}" ;;
    esac
  done
}

# Installs Debian packages when root; otherwise names them in one sentence and stops.
need_packages() {
  local command
  [ $# -gt 0 ] || return 0
  command="apt-get install --no-install-recommends $*"
  if ! command -v apt-get >/dev/null; then
    fail "Sfumato needs what Debian calls $* and this system has no apt-get: please install them and start again."
  fi
  is_root || fail "Sfumato needs system packages that are missing here; please run: sudo $command"
  say "Installing system packages: $*"
  apt_install "$@" || fail "The system packages could not be installed; please run: $command"
}

apt_install() {
  local quiet=(-qq -o Dpkg::Use-Pty=0)
  export DEBIAN_FRONTEND=noninteractive
  apt-get "${quiet[@]}" install -y --no-install-recommends "$@" >/dev/null 2>&1 </dev/null && return 0
  # A new machine has no package lists yet.
  apt-get "${quiet[@]}" update >&2 </dev/null || return 1
  apt-get "${quiet[@]}" install -y --no-install-recommends "$@" >&2 </dev/null
}

# The interpreter the pins were tested with first, then any newer one; pyenv's shims may exist and not work.
find_python() {
  local name
  for name in python3.11 python3.12 python3.13 python3.14 python3; do
    "$name" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null </dev/null || continue
    command -v "$name"
    return 0
  done
  return 1
}

can_make_venv() { "$1" -c 'import ensurepip, venv' 2>/dev/null </dev/null; }

# Prints the Debian packages that Python itself lacks; Debian keeps the maker of environments in one of its own.
missing_python() {
  local found
  if ! found=$(find_python); then
    printf 'python3 python3-venv '
  elif ! can_make_venv "$found"; then
    "$found" -c 'import sys; print("python3.%d-venv" % sys.version_info[1], end=" ")'
  fi
}

# Everything that is missing is named at once. The libraries of a real display only matter where there is one.
ensure_system() {
  local packages libraries=("${base_libraries[@]}")
  [ -z "${DISPLAY:-}${WAYLAND_DISPLAY:-}" ] || libraries+=("${display_libraries[@]}")
  read -ra packages <<<"$(missing_packages "${libraries[@]}")$(missing_python)"
  need_packages "${packages[@]}"
  python=$(find_python) || fail "Sfumato needs Python 3.11 or newer, and this system's own is older: please install one."
  can_make_venv "$python" || fail "$python cannot make virtual environments: please install its venv module."
}

# What the environment was made for: a changed pin, a moved checkout or another set of extras each need an update.
wanted_stamp() {
  printf '%s %s ' "$1" "$root"
  cat "$root/pyproject.toml" "$root/packaging/constraints.txt" | sha256sum
}

# An environment for the tests also serves to run the program.
is_ready() {
  local stamp
  [ -x "$venv/bin/python" ] && [ ! -e "$unfinished" ] || return 1
  for stamp in "$@"; do
    [ -r "$venv/sfumato-$stamp" ] && [ "$(<"$venv/sfumato-$stamp")" = "$(wanted_stamp "$stamp")" ] && return 0
  done
  return 1
}

ensure_display() {
  local packages
  [ -n "${DISPLAY:-}${WAYLAND_DISPLAY:-}" ] && [ ! -e "$venv/sfumato-display" ] || return 0
  read -ra packages <<<"$(missing_packages "${display_libraries[@]}")"
  need_packages "${packages[@]}"
  touch "$venv/sfumato-display"
}

# ensure_environment run|test
ensure_environment() {
  case $1 in
    run) is_ready run test && return 0 ;;
    *) is_ready "$1" && return 0 ;;
  esac
  ensure_system
  mkdir -p "$venv" || fail "The folder $venv cannot be written."
  exec 9>"$venv/sfumato-lock"
  flock 9 2>/dev/null || true
  is_ready "$1" || install_environment "$1"
  exec 9>&-
}

install_environment() {
  local what=. pip_options=(--disable-pip-version-check --no-input -c "$root/packaging/constraints.txt")
  [ "$1" = test ] && what='.[dev]'
  [ -t 2 ] || pip_options+=(-qq)
  say "Setting up Sfumato in $venv with $python (once; minutes)"
  # pip takes a half-written package for an installed one, so an interrupted set-up begins anew.
  if [ -e "$unfinished" ] || { [ -e "$venv/bin/python" ] && ! "$venv/bin/python" -c '' 2>/dev/null; }; then
    find "$venv" -mindepth 1 -maxdepth 1 ! -name sfumato-lock -exec rm -rf {} +
  fi
  touch "$unfinished"
  (
    "$python" -m venv "$venv" &&
      "$venv/bin/python" -m pip install "${pip_options[@]}" --upgrade pip &&
      cd "$root" &&
      "$venv/bin/python" -m pip install "${pip_options[@]}" \
        --build-constraint "$root/packaging/constraints.txt" -e "$what"
  ) >&2 </dev/null || fail "The set-up did not finish; what pip says stands above. Starting again makes a new attempt."
  wanted_stamp "$1" >"$venv/sfumato-$1"
  rm -f "$unfinished"
}
