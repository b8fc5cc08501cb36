#!/usr/bin/env bash
# Configures and builds into build/ (or $1), with any further CMake flags: build.sh [DIR [-DNAME=VALUE ...]]
set -euo pipefail
cd "$(dirname "$0")/.."
directory=${1:-build}
shift || true
cmake -G Ninja -S . -B "$directory" "$@" >"/tmp/dinomaly-cmake.$$" 2>&1 || { cat "/tmp/dinomaly-cmake.$$"; rm -f "/tmp/dinomaly-cmake.$$"; exit 1; }
rm -f "/tmp/dinomaly-cmake.$$"
ninja -C "$directory" -j "$(nproc)" --quiet
