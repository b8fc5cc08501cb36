#!/usr/bin/env bash
# check_levels.sh FOLDER: of the libraries in FOLDER (lib*.a), only the objects of the better levels may hold instructions
# that not every x86-64 has, those on vectors begin with a v; and an object of a level may show nothing but its factory.
set -euo pipefail
cd "$1"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
status=0
fail() {
  echo "check_levels: $*" >&2
  status=1
}

for library in lib*.a; do
  mkdir "$work/$library"
  (cd "$work/$library" && ar x "$OLDPWD/$library")
done
for object in "$work"/*/*.o; do
  name=${object#"$work"/}
  code=$(objdump -d --no-show-raw-insn "$object" | grep -cE $'\tv[a-z0-9]+ .*%[xyz]mm' || true)
  case ${object##*/} in
    cpu_avx*.o)
      [ "$code" -gt 0 ] || fail "$name has no instructions of its level"
      ;;
    *)
      [ "$code" -eq 0 ] || fail "$name has $code instructions that need more than x86-64"
      ;;
  esac
  case ${object##*/} in
    cpu_*_table.cpp.o | cpu_levels.cpp.o) ;;
    cpu_*.o)
      shown=$(nm --defined-only --extern-only --format=just-symbols "$object")
      [[ $shown =~ ^nabla_cpu_kernels_[a-z0-9_]+$ ]] || fail "$name shows more than its factory: $shown"
      [ "$(nm "$object" | grep -c ' u ' || true)" -eq 0 ] || fail "$name has unique symbols"
      ;;
  esac
done
exit $status
