#!/usr/bin/env bash
# What several processes judge: commands_test.sh DINOMALY MPIRUN
# Output, files, complaints and exit status of predict, eval, calibrate, report and the end of train by two and by three processes
# are those of one, to the byte.
set -euo pipefail
program=$1 mpirun=$2
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
fail() {
  echo "commands_test: $*" >&2
  exit 1
}

# run N FOLDER FLAGS...: what N processes print, complain of (in the program's own lines) and leave in FOLDER/files.
run() {
  local processes=$1 status=0
  rm -rf "$2" && mkdir -p "$2/files" && cd "$2/files"
  local launch=("$mpirun" -n "$processes")
  [ "$processes" -gt 1 ] || launch=()
  "${launch[@]}" "$program" "${@:3}" >../out 2>../complaints.all || status=$?
  cd "$folder"
  grep '^dinomaly:' "$2/complaints.all" >"$2/complaints" || true
  rm "$2/complaints.all"
  echo "$status" >"$2/status"
}
# same STATUS FLAGS...: whatever the number of processes.
same() {
  run 1 one "${@:2}"
  [ "$(cat one/status)" = "$1" ] || fail "status $(cat one/status) instead of $1: ${*:2}: $(cat one/complaints)"
  for processes in 2 3; do
    run "$processes" several "${@:2}"
    find several one -name '*.html' -exec sed -i -E 's/[0-9]{4}-[0-9]{2}-[0-9]{2} [0-9]{2}:[0-9]{2}//' {} +
    diff -r one several >differences || fail "$processes processes differ: ${*:2}: $(head -c 2000 differences)"
  done
}

flags=(--encoder random --iterations 4 --batch 4 --resize 112 --crop 98 --threads 1)
"$program" make-dataset data --size 112 --train 6 --good 3 --per-defect 1 --categories wood,weave >/dev/null
"$program" train data "${flags[@]}" --out trained --checkpoint-every 2 --calibrate none >/dev/null
model=$folder/trained/model.safetensors data=$folder/data
"$program" calibrate "$model" data --false-alarm-rate 0.2 --out calibrated >/dev/null
calibrated=$folder/calibrated test=$folder/data/wood/test

mkdir "$folder/some" && cp "$test"/good/*.png "$folder/some"
cp "$test/good/000.png" "$folder/some/$(printf 'not\377utf.png')"
printf 'no image' >"$folder/some/001a.png"
head -c 1500 "$test/good/001.png" >"$folder/some/cut.png"

same 0 predict "$calibrated" "$test" --out results --map-format tiff --csv
same 0 predict "$model" "$test" "$data/weave" --json
same 2 predict "$calibrated" "$folder/some" --json --out results
same 1 predict "$calibrated" "$test" --fail-on-anomaly --object-by folder --threshold 0
same 0 predict "$calibrated" "$test" --area whole --roi 10,10,60,50 --map-format npy --out results --threshold 1
same 0 predict "$model" "$test/good" --tile 64 --map-format tiff --out results
same 0 eval "$model" "$data" --json numbers.json --csv numbers.csv
same 0 eval "$model" "$data" --protocol official --export-maps maps --json -
same 0 calibrate "$model" "$data" --false-alarm-rate 0.2 --per-category --out calibrated
same 0 calibrate "$calibrated" "$data" --method f1 --roi 10,10,60,50 --out other --json
same 0 report "$calibrated" "$data" --out report.html --images 5
same 2 calibrate "$model" "$folder/some" --out calibrated
same 2 eval "$model" "$folder/nothing"
same 2 predict "$folder/nothing" "$test"
same 2 predict --no-such-flag

# Images that move away while others are judged.
for processes in 1 2 3; do
  rm -rf here && cp -r "$folder/some" here
  cd here && mkdir "../moved$processes"
  launch=("$mpirun" -n "$processes")
  [ "$processes" -gt 1 ] || launch=()
  "${launch[@]}" "$program" predict "$calibrated" . --move-to "../moved$processes" --csv >"../csv$processes" 2>/dev/null && fail "no complaint"
  cd "$folder"
  ls here >>"csv$processes"
  diff -r moved1 "moved$processes" && cmp csv1 "csv$processes" || fail "--move-to with $processes processes"
done

# The end of a training, from one checkpoint.
for precision in f32 int8; do
  "$program" train data "${flags[@]}" --precision "$precision" --out "$precision" --checkpoint-every 2 --calibrate none >/dev/null
  for processes in 1 2 3; do
    rm -rf "finished$processes" && mkdir "finished$processes" && cp -r "$precision" data "finished$processes"
    cd "finished$processes" && rm "$precision/model.safetensors"
    launch=("$mpirun" -n "$processes")
    [ "$processes" -gt 1 ] || launch=()
    "${launch[@]}" "$program" train data "${flags[@]}" --precision "$precision" --out "$precision" --calibrate good \
      --false-alarm-rate 0.2 --checkpoint-every 2 --resume --finish >out
    sed -i '/ s, training /d' out
    sed -i '/seconds/,/}/d; /"evaluate"/d' "$precision/metrics.json"
    cd "$folder"
    diff -r finished1 "finished$processes" >differences ||
      fail "$precision: the end of a training by $processes: $(head -c 2000 differences)"
  done
done

# Validations and the best weights; a cache of features.
validated=(--eval-every 2 --keep-best aupro --calibrate good --false-alarm-rate 0.2)
"$mpirun" -n 2 "$program" train data "${flags[@]}" "${validated[@]}" --out validated >validated.txt
"$mpirun" -n 2 "$program" train data "${flags[@]}" "${validated[@]}" --out cached --feature-cache cache >/dev/null
"$mpirun" -n 3 "$program" train data "${flags[@]}" "${validated[@]}" --out again --feature-cache cache >again.txt
"$program" train data "${flags[@]}" "${validated[@]}" --out alone --feature-cache own >/dev/null
cmp validated/model.safetensors cached/model.safetensors
cmp validated/validation.csv cached/validation.csv
"$program" eval validated/model.safetensors data >judged.txt
diff <(grep -A9 ^protocol judged.txt) <(grep -A9 ^protocol validated.txt | grep -v ' s, training ') || fail "train and eval differ"
diff -r cache own
grep -q 'from cache' again.txt || fail "features of a cache were encoded again"

# What is for one process.
mkdir watched
for refused in "predict $model --watch watched" "predict $model -" "predict $model rtsp://nowhere/line" "info $model"; do
  status=0
  # shellcheck disable=SC2086
  "$mpirun" -n 2 "$program" $refused </dev/null >out 2>complaints || status=$?
  [ "$status" = 2 ] && [ "$(grep -c '^dinomaly:' complaints)" = 1 ] || fail "$refused: status $status: $(cat complaints)"
  grep -q 'processes were launched\|were launched' complaints || fail "$refused: $(cat complaints)"
done
echo "several processes judge as one does"
