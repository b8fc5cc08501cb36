#!/usr/bin/env bash
# Runs clang-tidy with the checks of .clang-tidy over sources of a build folder; any finding is an error.
#   lint.sh             what differs from the branch main, or is not committed
#   lint.sh --all       everything; about 10 s a file
#   lint.sh FILE ...    those files
# BUILD names a build folder that compiles each file alone; if unset, build-lint is configured to. Needs
# clang-tidy (scripts/setup.sh clang-tidy).
set -euo pipefail
cd "$(dirname "$0")/.."
build=${BUILD:-build-lint}
command -v clang-tidy >/dev/null || { echo "lint: clang-tidy is not installed (./scripts/setup.sh clang-tidy)" >&2; exit 2; }
[ -n "${BUILD:-}" ] || cmake -G Ninja -S . -B "$build" -DDINOMALY_NATIVE=ON -DDINOMALY_CUDA=OFF >/dev/null
[ -e "$build/compile_commands.json" ] || { echo "lint: configure $build first" >&2; exit 2; }
folders=(tensor autograd nn backends/cpu dinomaly examples)
case ${1:-} in
  '') mapfile -t files < <({ git diff --name-only --diff-filter=d main -- "${folders[@]}"
                             git ls-files --others --exclude-standard -- "${folders[@]}"; } | grep '\.cpp$' | sort -u) ;;
  --all) mapfile -t files < <(git ls-files -- "${folders[@]}" | grep '\.cpp$') ;;
  *) files=("$@") ;;
esac
status=0
for file in "${files[@]}"; do
  clang-tidy --quiet --extra-arg=-Wno-unknown-warning-option -p "$build" "$file" 2>/dev/null || { status=1; echo "lint: $file" >&2; }
done
exit $status
