#!/usr/bin/env bash
# Training whose processes are killed: kill_test.sh DINOMALY MPIRUN [KILLS [SEED]]
# One of two processes is killed at a random time, again and again, and the run resumed each time. It must end with the
# weights of a run that nobody has disturbed, to the byte.
set -euo pipefail
program=$1 mpirun=$2 kills=${3:-20}
RANDOM=${4:-$$}
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
flags=(--encoder random --iterations 20 --batch 4 --resize 112 --crop 112 --threads 1 --checkpoint-every 4 --calibrate none)
train() { "$mpirun" -n 2 "$program" train "$folder/data" "${flags[@]}" "$@"; }

"$program" make-dataset "$folder/data" --size 112 --train 8 --good 1 --per-defect 1 --categories wood >/dev/null
begin=$(date +%s%N)
train --out "$folder/whole" >/dev/null
milliseconds=$((($(date +%s%N) - begin) / 1000000))

killed=0
for ((attempt = 0; attempt < kills; ++attempt)); do
  train --out "$folder/killed" --resume >"$folder/log" 2>&1 &
  job=$!
  delay=$((RANDOM % milliseconds))
  sleep "$(printf '%d.%03d' $((delay / 1000)) $((delay % 1000)))"
  mapfile -t ranks < <(pgrep -f "^$program train $folder/data" || true)
  if [ ${#ranks[@]} -eq 2 ] && kill -KILL "${ranks[RANDOM % 2]}" 2>/dev/null; then killed=$((killed + 1)); fi
  wait "$job" || true
  [ ! -e "$folder/killed/model.safetensors" ] || rm -rf "$folder/killed"  # it came to its end: once more from the start
done
train --out "$folder/killed" --resume >/dev/null
cmp "$folder/whole/model.safetensors" "$folder/killed/model.safetensors"
[ "$killed" -gt 0 ] || { echo "kill_test: no process was killed in time" >&2; exit 1; }
echo "$killed of $kills attempts killed a process; the weights are those of an undisturbed run"
