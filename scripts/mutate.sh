#!/usr/bin/env bash
# Checks the tests with planted faults: see scripts/mutate.py, which needs python3 besides what the build needs.
#   mutate.sh            all faults of scripts/mutations.txt; writes docs/mutations.md
#   mutate.sh N [M ...]  only those; the page keeps what it says of the others
set -euo pipefail
command -v python3 >/dev/null || { echo "mutate: install python3 first" >&2; exit 2; }
exec python3 "$(dirname "$0")/mutate.py" "$@"
