#!/usr/bin/env bash
# check_install.sh BUILD: installs BUILD into a temporary prefix, builds the consumer beside this script outside the tree
# with find_package(dinomaly), runs it, and looks for flags of our own build among its compile commands.
set -euo pipefail
build=$1
here=$(cd "$(dirname "$0")" && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

fail() {
  echo "ERROR: $*" >&2
  exit 1
}

cmake --install "$build" --prefix "$work/prefix" >"$work/log" || { cat "$work/log"; exit 1; }
"$work/prefix/bin/dinomaly" --version
cp -R "$here/consumer" "$work/consumer"
cmake -G Ninja -S "$work/consumer" -B "$work/build" -DCMAKE_PREFIX_PATH="$work/prefix" \
  -DCMAKE_EXPORT_COMPILE_COMMANDS=ON >"$work/log" 2>&1 || { cat "$work/log"; exit 1; }
cmake --build "$work/build" >"$work/log" 2>&1 || { cat "$work/log"; exit 1; }

said=$("$work/build/consumer")
expected='d/dx sum(x * x) = 4.0, a detector of 2 groups'
[ "$said" = "$expected" ] || fail "the consumer printed '$said', not '$expected'"
# The C API, by pkg-config.
cp "$here/../../examples/c/predict.c" "$work"
flags=$(PKG_CONFIG_PATH=$(dirname "$(find "$work/prefix" -name dinomaly.pc)") pkg-config --cflags --libs dinomaly)
# shellcheck disable=SC2086  # several flags
cc -std=c99 "$work/predict.c" -o "$work/predict" $flags -Wl,-rpath,"$(dirname "$(find "$work/prefix" -name libdinomaly.so)")"
[ "$("$work/predict" 2>&1)" = "usage: predict_c MODEL IMAGE..." ] || fail "the C example does not run"
for flag in -Werror -Wall -march -g1; do
  ! grep -q -- "$flag" "$work/build/compile_commands.json" || fail "$flag reaches those who link the libraries"
done
[ ! -e "$work/prefix/include/dinomaly-cpp/dinomaly/cli" ] || fail "headers of the program are installed"
source=$(cd "$here/../.." && pwd)
! grep -rnF "$source" "$work/prefix" --include='*.cmake' || fail "the installed files name the source folder"
