#!/usr/bin/env bash
# fuzz.sh SECONDS [TARGET...]: fuzzes the readers of outside data (tests/fuzz), each target for SECONDS on every processor,
# under AddressSanitizer and UndefinedBehaviorSanitizer; all targets if none is named.
#   fuzz.sh --minimise [TARGET...]   minimises the inputs that reached new code into tests/fuzz/corpus
# Needs clang with its runtime and libomp (Debian: clang libclang-rt-dev libomp-dev). A finding is kept in
# build-fuzz/findings, and the status is 1.
set -euo pipefail
cd "$(dirname "$0")/.."

seconds=${1:-}
shift || true
if [ "$seconds" != --minimise ] && ! [[ "$seconds" =~ ^[1-9][0-9]*$ ]]; then
  echo "fuzz: SECONDS or --minimise is missing" >&2
  exit 2
fi
targets=("$@")
[ $# -gt 0 ] || targets=(safetensors torch_zip sharded pickle image config csv real_iad tiff)

command -v clang++ >/dev/null || { echo "fuzz: clang++ is not installed" >&2; exit 2; }
./scripts/build.sh build-fuzz -DCMAKE_CXX_COMPILER=clang++ -DDINOMALY_FUZZ=ON -DDINOMALY_CUDA=OFF \
  -DCMAKE_BUILD_TYPE=Debug -DCMAKE_CXX_FLAGS_DEBUG=-O1 fuzz write_fuzz_seeds
work=build-fuzz/corpus findings=build-fuzz/findings
mkdir -p "$work" "$findings"
build-fuzz/bin/write_fuzz_seeds "$work"

export OMP_NUM_THREADS=1 ASAN_OPTIONS=detect_leaks=0:allocator_may_return_null=1
export UBSAN_OPTIONS=print_stacktrace=1
# An image may claim 2^26 pixels: 1.3 GB while it is decoded, and 40 s with sanitizers.
limits=(-rss_limit_mb=4096 -malloc_limit_mb=2048 -timeout=120)
status=0
for target in "${targets[@]}"; do
  export DINOMALY_FUZZ_TARGET=$target
  mkdir -p "$work/$target" "tests/fuzz/corpus/$target"
  if [ "$seconds" = --minimise ]; then
    fresh=$(mktemp -d)
    build-fuzz/bin/fuzz "${limits[@]}" -set_cover_merge=1 -use_counters=0 "$fresh" "tests/fuzz/corpus/$target" "$work/$target" 2>&1 | tail -n 1
    rm -f "tests/fuzz/corpus/$target"/*
    mv "$fresh"/* "tests/fuzz/corpus/$target/"
    rmdir "$fresh"
    continue
  fi
  echo "--- $target"
  build-fuzz/bin/fuzz "${limits[@]}" -max_total_time="$seconds" -fork="$(nproc)" -ignore_crashes=0 -print_final_stats=1 \
    -artifact_prefix="$findings/$target-" "$work/$target" "tests/fuzz/corpus/$target" 2>&1 |
    tee "build-fuzz/$target.log" | tail -n 3 || { status=1; echo "$target: see build-fuzz/$target.log"; }
done
exit $status
