#!/usr/bin/env bash
# Installs what is missing, builds train_mvtec alone, and trains a detector on images the program draws itself: a table of
# metrics, and heatmaps in build/demo/heatmaps. Further flags go to train_mvtec and win: demo.sh --iterations 50
set -euo pipefail
cd "$(dirname "$0")/.."
./scripts/setup.sh
# A first build where there is no GPU does without the CUDA backend, which takes minutes; test.sh adds it, and all other
# objects stay valid. A build folder that exists keeps its settings.
flags=()
if [ ! -e build/CMakeCache.txt ] && ! nvidia-smi >/dev/null 2>&1; then
  flags=(-DDINOMALY_CUDA=OFF)
fi
./scripts/build.sh build "${flags[@]}" train_mvtec
exec build/bin/train_mvtec --out build/demo --resize 224 --crop 224 --batch 8 --iterations 200 "$@"
