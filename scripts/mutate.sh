#!/usr/bin/env bash
# Checks the tests: plants the faults of scripts/mutations.txt one at a time into a copy of the tree, builds, and runs
# the test programs named there. A fault that no test notices is a missing test.
#   mutate.sh            all faults; writes the table docs/mutations.md
#   mutate.sh N [M ...]  only those; the table follows if every fault has a result
# Exit status 1 if a fault survives or the list is out of date. Needs what the build needs; with ccache it is faster.
set -euo pipefail
cd "$(dirname "$0")/.."
list=scripts/mutations.txt page=docs/mutations.md
work=build-mutate copy=build-mutate/tree build=build-mutate/build results=build-mutate/results
unset DINOMALY_SHARED  # a fault must be caught without data that only some have

# --- The list: blocks of "key: value" lines. Fields of fault number i stand at index i.
files=() tests=() olds=() news=() whys=()
read_list() {
  local line number=0
  while IFS= read -r line || [ -n "$line" ]; do
    number=$((number + 1))
    case $line in
      '' | '#'*) ;;
      'file: '*) files+=("${line#file: }") ;;
      'tests: '*) tests+=("${line#tests: }") ;;
      'old: '*) olds+=("${line#old: }") ;;
      'new: '*) news+=("${line#new: }") ;;
      'new:') news+=('') ;;
      'why: '*) whys+=("${line#why: }")
        local n=${#files[@]}
        [[ ${#tests[@]} = "$n" && ${#olds[@]} = "$n" && ${#news[@]} = "$n" && ${#whys[@]} = "$n" ]] ||
          { echo "mutate: $list:$number: a fault is file, tests, old, new and why, in that order" >&2; exit 2; } ;;
      *) echo "mutate: $list:$number: not understood: $line" >&2; exit 2 ;;
    esac
  done <"$list"
}

# How often the literal text $2 stands in file $1.
occurrences() {
  OLD=$2 awk 'BEGIN { old = ENVIRON["OLD"] }
    { while ((at = index($0, old)) > 0) { count++; $0 = substr($0, at + length(old)) } }
    END { print count + 0 }' "$1"
}

# File $1 with the literal text $2 replaced by $3.
replaced() {
  OLD=$2 NEW=$3 awk 'BEGIN { old = ENVIRON["OLD"] }
    (at = index($0, old)) > 0 { $0 = substr($0, 1, at - 1) ENVIRON["NEW"] substr($0, at + length(old)) }
    { print }' "$1"
}

check_list() {
  local i count status=0
  for i in "${!files[@]}"; do
    count=0
    [ ! -f "${files[i]}" ] || count=$(occurrences "${files[i]}" "${olds[i]}")
    if [ "$count" != 1 ]; then
      echo "mutate: the list is out of date: number $((i + 1)) stands $count times in ${files[i]}: ${olds[i]}" >&2
      status=1
    fi
  done
  return $status
}

# Brings the copy up to date; only what differs is touched, so that the build stays incremental.
copy_tree() {
  local file
  mkdir -p "$copy" "$results"
  (cd "$copy" && find . -type f) | sed 's|^\./||' | while IFS= read -r file; do
    [ -f "$file" ] || rm -f "$copy/$file"
  done
  git ls-files --cached --others --exclude-standard | while IFS= read -r file; do
    [ -f "$file" ] || continue
    cmp -s "$file" "$copy/$file" || { mkdir -p "$(dirname "$copy/$file")"; cp "$file" "$copy/$file"; }
  done
}

# Builds test_$1 ...; -w, because a fault may leave a variable unused.
build_tests() { ninja -C "$build" ${MUTATE_JOBS:+-j "$MUTATE_JOBS"} "${@/#/test_}" >"$work/build.log" 2>&1; }

# Runs test_$1; prints the names of the test cases that failed, each on a line. Nothing: all passed.
failed_cases() {
  local log=$work/test_$1.log status=0
  timeout 600 "$build/bin/test_$1" --no-colors=true >"$log" 2>&1 || status=$?
  [ $status -ne 0 ] || return 0
  awk '/^TEST CASE:/ { name = $0; sub(/^TEST CASE: */, "", name) }
       / ERROR: / && !seen[name]++ { print name; count++ }
       END { if (!count) print "the program ends early" }' "$log"
}

# A key for fault $1 that does not change with its number.
key_of() { printf '%s\n' "${files[$1]}" "${olds[$1]}" "${news[$1]}" | cksum | tr ' ' '-'; }

# Plants fault $1 (an index), builds and tests; leaves what caught it in the results.
try_fault() {
  local i=$1 file=${files[$1]} result program cases caught=''
  result=$results/$(key_of "$i")
  rm -f "$result"
  replaced "$file" "${olds[i]}" "${news[i]}" >"$copy/$file"
  local programs
  read -ra programs <<<"${tests[i]}"
  if build_tests "${programs[@]}"; then
    for program in "${programs[@]}"; do
      cases=$(failed_cases "$program")
      [ -z "$cases" ] && continue
      caught+="${caught:+; }$program: $(head -2 <<<"$cases" | paste -sd'|' | sed 's/|/, /')"
      [ "$(wc -l <<<"$cases")" -le 2 ] || caught+=" and $(($(wc -l <<<"$cases") - 2)) more"
    done
  else
    caught='DOES NOT BUILD'
  fi
  cp "$file" "$copy/$file"
  echo "${caught:-SURVIVED}" >"$result"
  printf '%3d  %-40s %s\n     -> %s\n' $((i + 1)) "$file" "${whys[i]}" "${caught:-SURVIVED}"
  [[ -n $caught && $caught != 'DOES NOT BUILD' ]]
}

write_page() {
  local i cell
  for i in "${!files[@]}"; do
    [ -f "$results/$(key_of "$i")" ] || { echo "mutate: $page waits until every fault has been tried"; return 0; }
  done
  {
    cat <<'TEXT'
# What the tests catch

`scripts/mutate.sh` plants the faults of `scripts/mutations.txt` into a copy of the tree, one at a time, and runs the
tests. This table is its output: for each fault the test program and the first test cases that failed. A fault that
survives is a missing test; the script then ends with status 1, as it does when a text of the list is no longer found
exactly once. After a change to a formula, correct the list; after a new formula, add a line to it.

| | file | fault | caught by |
|---|---|---|---|
TEXT
    for i in "${!files[@]}"; do
      cell=$(cat "$results/$(key_of "$i")")
      printf '| %d | `%s` | %s | %s |\n' $((i + 1)) "${files[i]}" "${whys[i]//|/\\|}" "${cell//|/\\|}"
    done
  } >"$page.tmp"
  mv "$page.tmp" "$page"
  echo "$page written"
}

read_list
chosen=()
for number in "$@"; do
  [[ $number =~ ^[0-9]+$ && $number -ge 1 && $number -le ${#files[@]} ]] ||
    { echo "mutate: '$number' is not a number from 1 to ${#files[@]}" >&2; exit 2; }
  chosen+=($((number - 1)))
done
check_list || exit 1
copy_tree
if [ $# -eq 0 ]; then
  chosen=("${!files[@]}")
  rm -f "$results"/*
fi

# One level of optimisation less than a release: building is most of the work.
cmake -G Ninja -S "$copy" -B "$build" -DDINOMALY_CUDA=OFF -DCMAKE_CXX_FLAGS_RELEASE=-O1 -DCMAKE_CXX_FLAGS=-w \
  >"$work/cmake.log" || { cat "$work/cmake.log" >&2; exit 1; }
read -ra programs <<<"$(for i in "${chosen[@]}"; do echo "${tests[i]}"; done | tr ' ' '\n' | sort -u | paste -sd' ')"
build_tests "${programs[@]}" || { tail -30 "$work/build.log" >&2; exit 1; }
for program in "${programs[@]}"; do
  cases=$(failed_cases "$program")
  [ -z "$cases" ] || { echo "mutate: test_$program fails without any fault: $cases" >&2; exit 1; }
done

survived=0
for i in "${chosen[@]}"; do try_fault "$i" || survived=$((survived + 1)); done
mkdir -p docs
write_page
echo "${#chosen[@]} faults, $survived survived"
[ $survived -eq 0 ]
