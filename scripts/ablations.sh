#!/usr/bin/env bash
# Trains Dinomaly again and again, each time without one of its parts or with another encoder, and prints a table of what
# each is worth, in Markdown (docs/ablations.md has one). A row takes minutes on two cores.
#   ablations.sh DATA CATEGORIES [ENCODER]   CATEGORIES: a,b; ENCODER: a strong one, for rows of its own
# ITERATIONS and BATCH (300 and 8) and OUT (build/ablations) are taken from the environment. Rows that OUT has already are
# not trained again.
set -euo pipefail
cd "$(dirname "$0")/.."
[ $# -ge 2 ] || { echo "ablations: expected DATA CATEGORIES [ENCODER]" >&2; exit 2; }
data=$1 categories=$2 strong=${3:-}
out=${OUT:-build/ablations} iterations=${ITERATIONS:-300} batch=${BATCH:-8}
[ -x build/bin/dinomaly ] || ./scripts/build.sh build dinomaly
mkdir -p "$out"

print_row() {  # NAME FOLDER
  python3 - "$1" "$2/metrics.json" <<'PYTHON'
import json, sys
name, file = sys.argv[1:]
m = json.load(open(file))["mean"]
print(f"| {name} | {m['image_auroc']:.3f} | {m['pixel_auroc']:.3f} | {m['aupro']:.3f} |", flush=True)
PYTHON
}

row() {  # NAME FOLDER FLAGS...
  local name=$1 folder=$out/$2
  shift 2
  if [ ! -e "$folder/metrics.json" ]; then
    build/bin/dinomaly train "$data" --categories "$categories" --resize 256 --crop 224 --iterations "$iterations" \
      --batch "$batch" --calibrate none --force --out "$folder" "$@" >"$folder.log" 2>&1 ||
      { echo "ablations: $name failed; see $folder.log" >&2; exit 1; }
  fi
  print_row "$name" "$folder"
}

echo "| $categories, $iterations iterations | image AUROC | pixel AUROC | AUPRO |"
echo '|---|---|---|---|'
early=(--feature-whitening 32 --set 'target_blocks=[0,1,2,3]')
row 'untrained encoder' random --encoder random
row 'untrained encoder, whitened (rank 96)' random_white --encoder random --feature-whitening 96
row 'the encoder of the program' own
row 'the encoder of the program, its first four blocks whitened (rank 32)' own_early "${early[@]}"
base=("${early[@]}") prefix=own_early groups='[[0,1,2,3]]'
if [ -n "$strong" ]; then
  base=(--encoder "$strong") prefix=strong groups='[[0,1,2,3,4,5,6,7]]'
  row "$(basename "$strong")" strong "${base[@]}"
fi
row '... without hard mining' ${prefix}_mining "${base[@]}" --set mining_share=0
row '... softmax instead of linear attention' ${prefix}_softmax "${base[@]}" --set softmax_attention=true
row '... without dropout' ${prefix}_dropout "${base[@]}" --set dropout=0
row '... one group instead of two' ${prefix}_group "${base[@]}" \
  --set "encoder_groups=$groups" --set 'decoder_groups=[[0,1,2,3,4,5,6,7]]'
