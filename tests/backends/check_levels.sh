#!/usr/bin/env bash
# check_levels.sh FOLDER: of the libraries in FOLDER (lib*.a), only the objects of the better levels
# (cpu_avx*.o) may hold instructions that not every x86-64 has, those on vectors, which begin with a v; and
# the object of a level may show nothing but its factory.
set -euo pipefail
cd "$1"
status=0
fail() {
  echo "check_levels: $*" >&2
  status=1
}

# Lines "OBJECT COUNT" of the objects that hold such instructions.
found=$(for library in lib*.a; do objdump -d --no-show-raw-insn "$library"; done |
  awk '/file format/ { object = $1; sub(/:$/, "", object) }
       /\tv[a-z0-9]+ .*%[xyz]mm/ { ++count[object] }
       END { for (object in count) print object, count[object] }')
while read -r object count; do
  case $object in
    '' | cpu_avx*.o) ;;
    *) fail "$object holds $count instructions that not every x86-64 has" ;;
  esac
done <<<"$found"

levels=0
for object in cpu_*.o; do
  levels=$((levels + 1))
  level=${object#cpu_}
  level=${level%.o}
  shown=$(nm --defined-only --extern-only "$object" | awk '{ print $3 }')
  [ "$shown" = "nabla_cpu_kernels_$level" ] || fail "$object shows" $shown
  case $level in
    avx*) grep -q "^$object " <<<"$found" || fail "$object holds nothing that needs its level" ;;
  esac
done
[ "$levels" -ge 2 ] || fail "$PWD: $levels levels"
exit $status
