#!/usr/bin/env bash
# check_deb.sh [BUILD]: packs BUILD (build-release if not named, which it then builds), installs the package dinomaly into a
# bare Debian 12 and lets it train and predict there. Needs root, debootstrap, dpkg-dev and Debian's mirror; takes minutes,
# so it is no part of .ci/run. It checks the Dockerfile's last stage, too, which does the same to an image.
set -euo pipefail
cd "$(dirname "$0")/.."
build=${1:-build-release}
if [ $# -eq 0 ]; then
  cmake --preset release
  cmake --build --preset release
fi
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

cpack --config "$build/CPackConfig.cmake" -B "$work/packages"
debootstrap --variant=minbase bookworm "$work/root" >"$work/log" || { tail "$work/log"; exit 1; }
cp "$work"/packages/dinomaly_*.deb "$work/root/tmp/"
chroot "$work/root" sh -ec '
  export DEBIAN_FRONTEND=noninteractive
  apt-get update -qq
  apt-get install -y -qq --no-install-recommends /tmp/dinomaly_*.deb >/dev/null
  dpkg -s dinomaly | grep -E "^(Package|Version|Depends|Installed-Size):"
  cd /tmp
  dinomaly --version
  dinomaly make-dataset parts --categories flange --good 4
  dinomaly train parts --resize 112 --crop 112 --iterations 2 --out out
  dinomaly predict out/model.safetensors parts/flange/test --out results >predictions
  tail -n 2 predictions
  [ -s predictions ]
'
echo "the package installs and runs"
