#!/usr/bin/env bash
# Installs what is missing, builds, and runs all tests. The last line counts them: "N passed, N failed, N skipped".
#   test.sh                all tests
#   test.sh --sanitize     the same under AddressSanitizer and UndefinedBehaviorSanitizer, in build-sanitize/
set -euo pipefail
cd "$(dirname "$0")/.."

directory=build
flags=()
if [ "${1:-}" = --sanitize ]; then
  directory=build-sanitize
  flags=(-DDINOMALY_SANITIZE=address,undefined -DDINOMALY_CUDA=OFF)
  export ASAN_OPTIONS=detect_leaks=0 UBSAN_OPTIONS=halt_on_error=1:print_stacktrace=1
elif [ $# -gt 0 ]; then
  echo "test: unknown argument '$1' (expected nothing or --sanitize)" >&2
  exit 2
fi
./scripts/setup.sh
./scripts/build.sh "$directory" "${flags[@]}"

log=$directory/tests.log
status=0
ctest --test-dir "$directory" --verbose --timeout 1200 >"$log" 2>&1 || status=$?
grep -E '(Passed|Failed|\*\*\*)' "$log" | grep -E '^ *[0-9]+/' || true
grep -E 'SKIPPED:' "$log" | sed 's/^[0-9]*: *//' | sort | uniq -c || true
[ $status -eq 0 ] || grep -E 'ERROR|FAIL|error:' "$log" | head -50 || true

# doctest programs count their own cases; every other CTest test counts one.
awk '
  /\[doctest\] test cases:/ { line = $0; sub(/.*test cases:/, "", line); split(line, part, "|");
                              split(part[2], p, " "); split(part[3], f, " "); passed += p[1]; failed += f[1]; counted++ }
  /SKIPPED:/                { skipped++ }
  / Test +#[0-9]+: .* Passed /                  { ctest_passed++ }
  / Test +#[0-9]+: .*(Failed|Timeout|Not Run|Exception)/ { ctest_failed++ }
  END { plain_failed = ctest_failed; if (failed > 0 && plain_failed > 0) plain_failed--
        printf "%d passed, %d failed, %d skipped\n", passed + ctest_passed + ctest_failed - counted - plain_failed, failed + plain_failed, skipped }
' "$log"
exit $status
