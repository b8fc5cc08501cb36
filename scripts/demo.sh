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
# For a minute and a half: early blocks of the encoder, which show small and faint defects; half the decoder; a short warm-up;
# small batches for more steps. Small defects weigh more in an image's score, the mean of the largest 0.4 % of its map.
exec build/bin/train_mvtec --out build/demo --resize 288 --crop 288 --batch 4 --iterations 670 \
  --set 'target_blocks=[1,2,3,4]' --set decoder_depth=4 --set warmup_steps=20 --set score_ratio=0.004 "$@"
