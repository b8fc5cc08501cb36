#!/usr/bin/env bash
# Installs what the build needs on Debian or Ubuntu, if anything is missing; needs root or sudo only then.
#   setup.sh [PACKAGE ...]   also these packages, for example clang-format-14
# The CUDA toolkit is optional and not installed here: where nvcc 12.4 or later is found, the CUDA backend is built.
set -euo pipefail

packages=(
  g++ cmake ninja-build pkg-config
  libdnnl-dev ocl-icd-opencl-dev   # matrix products and convolutions; its CMake config also asks for OpenCL
  libeigen3-dev                    # float64 algebra, planes
  libfmt-dev nlohmann-json3-dev libcli11-dev
  libstb-dev libjpeg-dev libpng-dev libtiff-dev libwebp-dev   # images
  libminizip-dev zlib1g-dev libssl-dev   # reading PyTorch files; SHA-256
  libcsv-dev                       # lists of images
  libcurl4-openssl-dev             # encoders by name
  libavformat-dev libswscale-dev   # videos
  libmosquitto-dev                 # predict --mqtt
  libcpp-httplib-dev               # dinomaly serve
  doctest-dev
  libbenchmark-dev                 # bench_ops
)
# Builds faster the second time; tests of the Python module. Without them everything else works.
helpful=(ccache python3-dev python3-venv)
is_missing() { ! dpkg-query -W -f='${Status}' "$1" 2>/dev/null | grep -q 'install ok installed'; }
missing=()
for package in "${packages[@]}" "$@"; do
  ! is_missing "$package" || missing+=("$package")
done
needed=${#missing[@]}
for package in "${helpful[@]}"; do
  ! is_missing "$package" || missing+=("$package")
done
[ ${#missing[@]} -eq 0 ] && exit 0

sudo=()
if [ "$(id -u)" -ne 0 ]; then
  if ! command -v sudo >/dev/null; then
    [ "$needed" -gt 0 ] || exit 0
    echo "setup: run as root, or install sudo; missing: ${missing[*]}" >&2
    exit 2
  fi
  sudo=(sudo)
fi
install() {
  "${sudo[@]}" apt-get update -qq && "${sudo[@]}" apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
}
echo "installing: ${missing[*]}"
export DEBIAN_FRONTEND=noninteractive
if [ "$needed" -gt 0 ]; then
  install
else
  install 2>/dev/null || echo "setup: could not install ${missing[*]}; going on without"
fi
