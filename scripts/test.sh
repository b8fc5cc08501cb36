#!/usr/bin/env bash
# Installs what is missing, builds, and runs all tests. The last line counts them: "N passed, N failed, N skipped".
#   test.sh                      all tests, in build/
#   test.sh --sanitize           the same under AddressSanitizer, LeakSanitizer and UndefinedBehaviorSanitizer, in
#                                build-sanitize/; what libgomp and oneDNN keep for the whole run is no leak
#   test.sh --sanitize=thread    what the programs do on threads of their own (doctest's suite "threads": images read
#                                ahead, the allocator, parallel loops, the service), under ThreadSanitizer, in build-thread/
#   test.sh --levels             the program for every x86-64, in build-levels/: the tests of the kernels at each level
#                                that this processor can run, and no code for better processors outside of them
set -euo pipefail
cd "$(dirname "$0")/.."

directory=build python=
flags=(-DDINOMALY_CUDA=AUTO) targets=() which=()  # AUTO: demo.sh may have left the CUDA backend out
# Less optimisation: the sanitizers' own checks leave little to gain, and building is quicker. And each file alone: with
# the checks in it a unit of many files takes minutes and 2 GB.
sanitized=(-DDINOMALY_CUDA=OFF -DCMAKE_BUILD_TYPE=Debug -DCMAKE_CXX_FLAGS_DEBUG=-O1 -DCMAKE_UNITY_BUILD=OFF)
case ${1:-} in
  '') python=yes ;;
  --sanitize)
    directory=build-sanitize
    flags=(-DDINOMALY_SANITIZE=address,undefined "${sanitized[@]}")
    suppressions=$directory/leaks.txt
    mkdir -p "$directory"
    printf 'leak:libgomp\nleak:libdnnl\n' >"$suppressions"
    export ASAN_OPTIONS=detect_leaks=1 LSAN_OPTIONS=suppressions=$PWD/$suppressions:print_suppressions=0
    export UBSAN_OPTIONS=halt_on_error=1:print_stacktrace=1
    ;;
  --sanitize=thread)
    directory=build-thread
    flags=(-DDINOMALY_SANITIZE=thread "${sanitized[@]}")
    targets=(test_tensor test_dinomaly) which=(-R '^(tensor|dinomaly)$')
    export TSAN_OPTIONS=halt_on_error=1
    ;;
  --levels)
    directory=build-levels
    flags=(-DDINOMALY_CUDA=OFF -DDINOMALY_NATIVE=OFF)
    targets=(test_tensor test_ops test_backends dinomaly) which=(-R '_(baseline|avx2|avx512|avx512_bf16)$|^cpu_levels$')
    ;;
  *)
    echo "test: unknown argument '$1' (expected nothing, --sanitize, --sanitize=thread or --levels)" >&2
    exit 2
    ;;
esac
# Several processes are tested where MPI can be installed; a program without MPI starts a little faster.
./scripts/setup.sh libopenmpi-dev openmpi-bin || ./scripts/setup.sh
./scripts/build.sh "$directory" "${flags[@]}" "${targets[@]}"

# Shows what the compiler gave each kernel; not part of every toolkit. Where it cannot be had, one test is skipped.
tools=$directory/cuda_tools
if [ -f "$directory/backends/cuda/libdinomaly_cuda.a" ] && ! command -v cuobjdump >/dev/null && [ ! -d "$tools" ]; then
  python3 -m pip install -q --disable-pip-version-check --no-deps --target "$tools" nvidia-cuda-cuobjdump 2>/dev/null || true
fi

log=$directory/tests.log
status=0
# One test per processor. Those with threads of their own share them.
ctest --test-dir "$directory" -j "$(nproc)" "${which[@]}" --verbose --timeout 1200 >"$log" 2>&1 || status=$?
grep -E '(Passed|Failed|\*\*\*)' "$log" | grep -E '^ *[0-9]+/' || true
grep -E 'SKIPPED:' "$log" | sed 's/^[0-9]*: *//' | sort | uniq -c || true
[ $status -eq 0 ] || grep -E 'ERROR|FAIL|error:' "$log" | head -50 || true

# The Python module, in the same folder: its counts are added to those below.
python_counts='0 passed, 0 failed, 0 skipped'
if [ -n "$python" ]; then
  ./scripts/test_python.sh >"$directory/python.log" 2>&1 || status=1
  sed '$d' "$directory/python.log"
  last=$(tail -n 1 "$directory/python.log")
  if [[ $last =~ ^[0-9]+\ passed,\ [0-9]+\ failed,\ [0-9]+\ skipped$ ]]; then
    python_counts=$last
  else
    echo "$last"
    python_counts='0 passed, 1 failed, 0 skipped'
  fi
fi
read -r python_passed _ python_failed _ python_skipped _ <<<"$python_counts"

# doctest programs count their own cases; every other CTest test counts one.
awk -v python_passed="$python_passed" -v python_failed="$python_failed" -v python_skipped="$python_skipped" '
  /\[doctest\] test cases:/ { line = $0; sub(/.*test cases:/, "", line); split(line, part, "|");
                              split(part[2], p, " "); split(part[3], f, " "); passed += p[1]; failed += f[1]; counted++ }
  /SKIPPED:/                { skipped++ }
  / Test +#[0-9]+: .* Passed /                  { ctest_passed++ }
  / Test +#[0-9]+: .*(Failed|Timeout|Not Run|Exception)/ { ctest_failed++ }
  END { plain_failed = ctest_failed; if (failed > 0 && plain_failed > 0) plain_failed--
        passed += ctest_passed + ctest_failed - counted - plain_failed
        printf "%d passed, %d failed, %d skipped\n", passed + python_passed, failed + plain_failed + python_failed,
               skipped + python_skipped }
' "$log"
exit $status
