#!/usr/bin/env bash
# Installs what the build needs on Debian or Ubuntu, if anything is missing; needs root or sudo only then.
# The CUDA toolkit is optional and not installed here: where nvcc 12.4 or later is found, the CUDA backend is built.
set -euo pipefail

packages=(
  g++ cmake ninja-build pkg-config
  libdnnl-dev ocl-icd-opencl-dev   # matrix products and convolutions; its CMake config also asks for OpenCL
  libeigen3-dev                    # float64 algebra
  libfmt-dev nlohmann-json3-dev libcli11-dev libstb-dev libtiff-dev
  libminizip-dev zlib1g-dev libssl-dev   # reading PyTorch files; SHA-256
  libcsv-dev                       # lists of images
  doctest-dev
  libbenchmark-dev                 # bench_ops
)
missing=()
for package in "${packages[@]}"; do
  dpkg-query -W -f='${Status}' "$package" 2>/dev/null | grep -q 'install ok installed' || missing+=("$package")
done
[ ${#missing[@]} -eq 0 ] && exit 0

sudo=()
if [ "$(id -u)" -ne 0 ]; then
  command -v sudo >/dev/null || { echo "setup: run as root, or install sudo; missing: ${missing[*]}" >&2; exit 2; }
  sudo=(sudo)
fi
echo "installing: ${missing[*]}"
export DEBIAN_FRONTEND=noninteractive
"${sudo[@]}" apt-get update -qq
"${sudo[@]}" apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
