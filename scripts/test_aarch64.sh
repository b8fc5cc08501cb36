#!/usr/bin/env bash
# Builds for 64-bit ARM with Debian's cross compiler and tests that under qemu-user, which emulates one processor after the
# other: about half an hour. On Debian; needs root or sudo only to install the compiler and qemu. Everything else is in
# build-aarch64/, which later runs use again, without network.
#   test_aarch64.sh [PROCESSOR ...]   those that qemu emulates (qemu-aarch64 -cpu help), instead of cortex-a72 (no products of
#                                     bytes), neoverse-n1 (sdot) and max (smmla)
# The libraries do not come to this system: apt resolves and loads their packages as those of a system of their own, a sysroot.
set -euo pipefail
cd "$(dirname "$0")/.."
folder=$PWD/build-aarch64
sysroot=$folder/sysroot
processors=("$@")
[ $# -gt 0 ] || processors=(cortex-a72 neoverse-n1 max)

# What setup.sh installs for a build, less the compiler and tools, which run here.
libraries=(
  libc6-dev libgomp1 libstdc++6 libdnnl-dev ocl-icd-opencl-dev libeigen3-dev libfmt-dev nlohmann-json3-dev libcli11-dev
  libstb-dev libjpeg-dev libpng-dev libtiff-dev libwebp-dev libminizip-dev zlib1g-dev libssl-dev libcsv-dev doctest-dev
)
make_sysroot() {
  local work=$folder/packages root=$sysroot.part package link target
  mkdir -p "$work"/state/lists/partial "$work"/cache/archives/partial
  : >"$work/state/status" # nothing is installed there
  local apt=(apt-get -qq -o APT::Architecture=arm64 -o APT::Architectures::=arm64 -o Dir::State="$work/state"
    -o Dir::State::status="$work/state/status" -o Dir::Cache="$work/cache" -o APT::Sandbox::User="$(id -un)")
  "${apt[@]}" update
  "${apt[@]}" install --yes --download-only --no-install-recommends "${libraries[@]}" >/dev/null
  rm -rf "$root"
  mkdir -p "$root"/usr/{bin,sbin,lib}
  ln -s usr/bin usr/sbin usr/lib "$root"
  for package in "$work"/cache/archives/*.deb; do
    dpkg-deb --fsys-tarfile "$package" | tar -x -C "$root" --keep-directory-symlink
  done
  # Absolute links would lead out of the sysroot.
  while IFS= read -r link; do
    target=$(readlink "$link")
    ln -sfn "$(realpath -m --relative-to="$(dirname "$link")" "$root$target")" "$link"
  done < <(find "$root" -type l -lname '/*')
  mv "$root" "$sysroot"
  rm -rf "$work"
}
for program in aarch64-linux-gnu-g++ qemu-aarch64 cmake ninja; do
  command -v "$program" >/dev/null || {
    ./scripts/setup.sh g++-aarch64-linux-gnu qemu-user
    break
  }
done
if [ ! -d "$sysroot" ]; then
  echo "loading the libraries of arm64 into $sysroot"
  make_sysroot
fi

targets=(test_ops test_tensor test_backends reference_check dinomaly)
./scripts/build.sh build-aarch64 -DCMAKE_TOOLCHAIN_FILE="$PWD/cmake/aarch64.cmake" -DDINOMALY_NATIVE=OFF \
  -DDINOMALY_CUDA=OFF -DDINOMALY_BENCH=OFF "${targets[@]}"

# qemu translates threads that wait actively, too: they would take the time of those that work.
export OMP_WAIT_POLICY=passive
bundles=(../shared/reference/{metrics,model_paper_swiglu,model_anomalib_recentred}.safetensors)
failed=0
check() {
  local log=$folder/$1-$2.log seconds=$SECONDS result=passed
  "${@:3}" >"$log" 2>&1 || result=FAILED failed=$((failed + 1))
  echo "$1: $2 $result ($((SECONDS - seconds)) s)"
  [ $result = passed ] || tail -n 30 "$log"
}
for processor in "${processors[@]}"; do
  emulated=(qemu-aarch64 -L "$sysroot" -cpu "$processor")
  for program in test_tensor test_backends; do
    check "$processor" "$program" "${emulated[@]}" "build-aarch64/bin/$program"
  done
  # This case starts the program again, which only emulated it can be: what it compares is compared below.
  check "$processor" test_ops "${emulated[@]}" build-aarch64/bin/test_ops --test-case-exclude='every op gives the same bits*'
  check "$processor" dinomaly "${emulated[@]}" build-aarch64/bin/dinomaly --version
  for bundle in "${bundles[@]}"; do
    [ -e "$bundle" ] || continue
    for dtype in f64 f32 bf16; do
      check "$processor" "$(basename "$bundle" .safetensors)-$dtype" \
        "${emulated[@]}" build-aarch64/bin/reference_check --dtype "$dtype" "$bundle"
    done
  done
done
digests() {
  OMP_NUM_THREADS=$1 "${emulated[@]}" build-aarch64/bin/test_ops --no-skip --minimal --test-case='digests of all ops' >"$folder/$1.digests"
}
same_bits() { digests 1 && digests 3 && [ -s "$folder/1.digests" ] && cmp "$folder/1.digests" "$folder/3.digests"; }
check "$processor" 'bits with 1 and 3 threads' same_bits
[ $failed -eq 0 ]
