#!/usr/bin/env bash
# Sets up Sfumato in .venv when needed and starts it; arguments pass through: packaging/run.sh edit IN --target ...
set -euo pipefail
# shellcheck source=packaging/setup.sh
. "$(dirname -- "${BASH_SOURCE[0]}")/setup.sh"

ensure_environment run
ensure_display
exec "$venv/bin/sfumato" "$@"
