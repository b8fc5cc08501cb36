#!/usr/bin/env bash
# Makes one archive with all that the first ten minutes on a machine with a GPU need, where nothing can be installed or built:
# programs, tests, reference bundles, their libraries, and gpu_first.sh, which runs them.
#   gpu_bundle.sh [ARCHIVE.tar.xz]              for a GPU (nvcc is needed)
#   gpu_bundle.sh --emulated [ARCHIVE.tar.xz]   the same programs on the emulated GPU, with tiny sizes, to try the bundle anywhere
# The programs run on any x86-64 with glibc 2.35 and the libstdc++ of GCC 12, or later: Debian 12, Ubuntu 22.04. The archive has less than 60 MB, or this ends with status 1.
set -euo pipefail
cd "$(dirname "$0")/.."
./scripts/setup.sh xz-utils
emulated=''
if [ "${1:-}" = --emulated ]; then emulated=_emulated; shift; fi
archive=$(realpath -m "${1:-dinomaly-gpu$emulated.tar.xz}")
directory=build-gpu$emulated
most_bytes=60000000 newest_glibc=2.35

# Without what a GPU has no part in, and without the 11 MB of an encoder in each program; each finds its libraries in ../lib, as do these theirs (no RUNPATH).
flags=(-DDINOMALY_NATIVE=OFF -DDINOMALY_MPI=OFF -DDINOMALY_CURL=OFF -DDINOMALY_SERVE=OFF -DDINOMALY_VIDEO=OFF -DDINOMALY_MQTT=OFF
  -DDINOMALY_BUNDLED_ENCODER="$PWD/$directory/no_encoder" -DCMAKE_BUILD_RPATH='$ORIGIN/../lib' -DCMAKE_EXE_LINKER_FLAGS=-Wl,--disable-new-dtags -DDINOMALY_TESTS=ON)
mkdir -p "$directory" && : >"$directory/no_encoder"
programs=(dinomaly bench_dinomaly reference_check)
if [ -n "$emulated" ]; then
  flags+=(-DDINOMALY_CUDA=OFF)
  programs=(dinomaly_emulated bench_dinomaly_emulated reference_check_emulated test_cuda_emulated)
else
  flags+=(-DDINOMALY_CUDA=ON -DDINOMALY_CUDA_ARCHITECTURES=ALL)
  programs+=(test_ops test_backends)
fi
./scripts/build.sh "$directory" "${flags[@]}" "${programs[@]}"

staged=$directory/bundle/dinomaly-gpu
rm -rf "$directory/bundle"
mkdir -p "$staged"/{bin,lib,tests/reference,reference,bench,python}
for program in "${programs[@]}"; do
  strip -o "$staged/bin/${program%_emulated}" "$directory/bin/$program"
done
if [ -n "$emulated" ]; then
  mv "$staged/bin/test_cuda" "$staged/bin/test_ops"  # it has the tests of both
  cp -l "$staged/bin/test_ops" "$staged/bin/test_backends"
fi
# Every library but glibc's and GCC's, which are the target's (Debian 12's libstdc++ wants a newer glibc than the programs do),
# and the driver's.
ldd "$staged"/bin/* | awk '$2 == "=>" && $3 ~ /^\// { print $3 }' | sort -u |
  grep -Ev '/(ld-linux[^/]*|libc|libm|libpthread|libdl|librt|libresolv|libstdc\+\+|libgcc_s|libcuda)\.so' | xargs -r cp -Lt "$staged/lib"
cp tests/reference/*.safetensors "$staged/tests/reference/"
cp scripts/gpu_first.sh "$staged/"
cp "scripts/gpu_sizes$emulated.sh" "$staged/sizes.sh"
cp bench/{compare,worker,peers,results,dinomaly_torch,folder_row}.py "$staged/bench/"
# Bundles of both public implementations, where they stand beside the sources.
shared=${DINOMALY_SHARED:-../shared}
for bundle in model_paper model_anomalib_wide; do
  if [ -f "$shared/reference/$bundle.safetensors" ]; then
    cp "$shared/reference/$bundle.safetensors" "$staged/reference/"
  else
    echo "gpu_bundle: $bundle is not in $shared/reference: gpu_first.sh will compare with fewer bundles" >&2
  fi
done
# For PyTorch's part, which reads our weights; the target has PyTorch or not.
python3 -m pip install -q --disable-pip-version-check --no-deps --only-binary=:all: --target "$staged/python" safetensors 2>/dev/null ||
  echo 'gpu_bundle: safetensors cannot be fetched for Python: the comparison with PyTorch needs it on the target' >&2

# What the target must have.
needed=$(objdump -T "$staged"/bin/* "$staged"/lib/* 2>/dev/null | grep -o 'GLIBC_[0-9.]*' | sed s/GLIBC_// | sort -uV | tail -n 1)
if [ "$(printf '%s\n' "$needed" $newest_glibc | sort -V | tail -n 1)" != $newest_glibc ]; then
  echo "gpu_bundle: the programs need glibc $needed; build on a system with $newest_glibc or older" >&2
  exit 1
fi
# The programs have most of their code in common, which xz finds again, and gzip, of a short memory, does not: 36 MB or 71.
tar -C "$directory/bundle" -cf - dinomaly-gpu | xz -9 >"$archive"
bytes=$(stat -c %s "$archive")
echo "$archive: $((bytes / 1000000)) MB, glibc $needed or later; unpack it (tar -xf), and run dinomaly-gpu/gpu_first.sh"
if [ "$bytes" -ge $most_bytes ]; then
  echo "gpu_bundle: $bytes bytes are more than $most_bytes" >&2
  exit 1
fi
