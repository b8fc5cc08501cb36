#!/usr/bin/env bash
# Configures and builds into build/ (or $1), for this machine's processor alone unless -DDINOMALY_NATIVE=OFF is given,
# with any further CMake flags, and only the targets named, if any:
# build.sh [DIR [-DNAME=VALUE ...] [TARGET ...]]
# Up to 28 files are compiled as one unit (CMAKE_UNITY_BUILD): headers are read once for all of them, and a first build
# takes half the time. To work on the code, `cmake --preset dev` compiles each file alone, so that a change costs one.
set -euo pipefail
cd "$(dirname "$0")/.."
directory=${1:-build}
shift || true
flags=() targets=()
for argument in "$@"; do
  case $argument in
    -*) flags+=("$argument") ;;
    *) targets+=("$argument") ;;
  esac
done
log=$(mktemp)
cmake -G Ninja -S . -B "$directory" -DDINOMALY_NATIVE=ON -DCMAKE_UNITY_BUILD=ON \
  -DCMAKE_UNITY_BUILD_BATCH_SIZE=28 "${flags[@]}" >"$log" 2>&1 || { cat "$log"; rm -f "$log"; exit 1; }
rm -f "$log"
ninja -C "$directory" -j "$(nproc)" --quiet "${targets[@]}"
