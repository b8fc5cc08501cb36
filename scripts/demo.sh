#!/usr/bin/env bash
# Installs what is missing, builds, and trains a detector on images the program draws itself: a table of metrics,
# and heatmaps in build/demo/heatmaps. Further flags go to train_mvtec and win: demo.sh --iterations 50
set -euo pipefail
cd "$(dirname "$0")/.."
./scripts/setup.sh
./scripts/build.sh
exec build/bin/train_mvtec --out build/demo --resize 224 --crop 224 --iterations 200 "$@"
