#!/usr/bin/env bash
# Formats all sources with clang-format 14 (other versions break lines elsewhere), which it installs if missing.
#   format.sh [FILE ...]   those files, or all that git tracks
#   format.sh --check      changes nothing; status 1 if a file would change, 3 if clang-format cannot be had here
set -euo pipefail
cd "$(dirname "$0")/.."
mode=(-i)
if [ "${1:-}" = --check ]; then
  mode=(--dry-run --Werror)
  shift
fi
command -v clang-format-14 >/dev/null || ./scripts/setup.sh clang-format-14 || {
  echo "format: clang-format 14 is not installed; SKIPPED" >&2
  exit 3
}
files=("$@")
[ $# -gt 0 ] || mapfile -t files < <(git ls-files '*.cpp' '*.h' '*.cu' '*.cuh')
clang-format-14 "${mode[@]}" "${files[@]}" || exit 1
