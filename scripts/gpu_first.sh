#!/usr/bin/env bash
# What a GPU shows in its first ten minutes. Part of the bundle that gpu_bundle.sh makes; needs bash, coreutils, diffutils, grep,
# sed, awk, tar and gzip, no network and no rights beyond its folders.
#   gpu_first.sh [OUT]     OUT: a new or empty folder (default: results beside this file)
# Leaves OUT/table.txt, a line for each step, and OUT/logs.tar.gz. A step that fails or takes longer than its limit does not stop
# the others. Exit status 1 if a step failed, 2 for a wrong argument.
set -uo pipefail
here=$(cd "$(dirname "$0")" && pwd)
out=${1:-$here/results}
if [ $# -gt 1 ] || { [ -e "$out" ] && [ -n "$(ls -A "$out" 2>&1)" ]; }; then
  echo "gpu_first: ${out}: expected a new or empty folder, and no other argument" >&2
  exit 2
fi
mkdir -p "$out/logs" && cd "$out" || exit 2
out=$PWD
. "$here/sizes.sh"
bin=$here/bin
export DINOMALY_SOURCE_DIR=$here DINOMALY_OFFLINE=1
whole=$((590 * patience))  # seconds for all steps together
failed=0

# cuBLASLt, wherever this machine has it: the toolkit, or PyTorch's packages.
folder_of_cublaslt() {
  local name folder
  name=$(grep -aom1 'libcublasLt\.so\.[0-9]*' "$bin/bench_dinomaly")
  [ -n "$name" ] || return 0
  if ldconfig -p 2>/dev/null | grep -q "$name"; then return 0; fi
  for folder in /usr/local/cuda*/lib64 /usr/local/cuda*/targets/*/lib /usr/lib/x86_64-linux-gnu \
    $(python3 -c 'import sys; print(*[p for p in sys.path if p])' 2>/dev/null | tr ' ' '\n' | sed 's:$:/nvidia/*/lib:'); do
    if [ -e "$folder/$name" ]; then echo "$folder"; return; fi
  done
}
cublaslt=$(folder_of_cublaslt)
[ -z "$cublaslt" ] || export LD_LIBRARY_PATH=$cublaslt${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}

# step NAME SECONDS FUNCTION: runs it with a limit and a log. A function's last line is what the table shows of it; status 77 is
# "skipped". The time is over for all when it is over.
step() {
  local name=$1 limit=$(($2 * patience)) function=$3 begun=$SECONDS status=0 verdict left
  left=$((whole - SECONDS))
  if [ $left -lt $limit ]; then limit=$left; fi
  if [ $limit -lt 3 ]; then
    verdict='NO TIME'
  else
    export -f "$function"
    timeout --kill-after=3 "$limit" bash -c "$function" >"logs/$name.log" 2>&1 || status=$?
    case $status in
      0) verdict=ok ;;
      77) verdict=skipped ;;
      124 | 137) verdict='OVER TIME' ;;
      *) verdict="FAILED ($status)" ;;
    esac
  fi
  [ "$verdict" = ok ] || [ "$verdict" = skipped ] || failed=1
  printf '%-22s %-12s %4d s  %s\n' "$name" "$verdict" $((SECONDS - begun)) \
    "$(grep -v '^ *$' "logs/$name.log" 2>/dev/null | tail -n 1 | cut -c1-160)" | tee -a table.txt
}

machine() {
  nvidia-smi && nvidia-smi -q -d CLOCK,POWER,MEMORY
  nvcc --version; python3 -c 'import torch; print("torch", torch.__version__)'
  uname -a; head -n 2 /etc/os-release; nproc; grep -m1 'model name' /proc/cpuinfo; free -g 2>/dev/null
  echo "cuBLASLt: ${cublaslt:-where the system has it}"
  nvidia-smi --query-gpu=name,driver_version,memory.total,clocks.max.sm --format=csv,noheader 2>/dev/null || echo 'no nvidia-smi'
}
# Runs its arguments and shows what they print; the last line is the last of those that PATTERN matches.
summed_up() {
  local pattern=$1 printed status=0
  printed=$("${@:2}" 2>&1) || status=$?
  echo "$printed"
  if grep -q 'SKIPPED: no CUDA device' <<<"$printed"; then echo 'the tests did not find a GPU'; return 1; fi
  grep -e "$pattern" <<<"$printed" | tail -n 1
  return $status
}
tests_of_ops() { summed_up 'test cases:' "$bin/test_ops" --no-colors=true -tc='*CUDA*'; }
tests_of_backend() { summed_up 'test cases:' "$bin/test_backends" --no-colors=true -tc='*CUDA*'; }
reference() {
  ls "$here"/reference/*.safetensors >/dev/null 2>&1 || { echo 'the bundle has no reference bundles'; return 77; }
  "$bin/reference_check" --device cuda --dtype "$1" "$here"/reference/*.safetensors || return
  echo "the numbers of $(ls "$here"/reference/*.safetensors | wc -l) reference bundles, in $1"
}
reference_f32() { reference f32; }
reference_bf16() { reference bf16; }
bench() {  # WORK, ARCHITECTURE:BATCH, further flags
  "$bin/bench_dinomaly" "$1" --arch "${2%:*}" --batch "${2#*:}" --size "$size" --device cuda "${@:3}"
}
seconds_of() { sed -n 's/.*"seconds_per_image_min":\([0-9.e-]*\).*/\1/p'; }
benches() {  # WORK, its shapes, further flags: a line with seconds an image for each precision
  local shape precision line said=''
  for shape in $2; do
    for precision in f32 bf16; do
      line=$(bench "$1" "$shape" --precision $precision --repeat 20 "${@:3}") || return
      echo "$line"
      said+="$shape $precision $(seconds_of <<<"$line"); "
    done
  done
  echo "seconds an image: $said"
}
inference() { benches infer "$infer"; }
training() { benches train "$train"; }
training_kept() { benches train "$train" --kept-features; }
profile() { summed_up 'all kernels' bench train "${train%% *}" --precision bf16 --kept-features --repeat 3 --profile; }
long_training() {
  local done=0 begun=$SECONDS
  while [ $done -lt "$iterations" ]; do
    bench train "${train%% *}" --precision bf16 --kept-features --repeat "$chunk" || return
    done=$((done + chunk))
    echo "$done of $iterations iterations of ${train%% *} in $((SECONDS - begun)) s, with $((done / chunk)) starts"
  done
}
same_twice() {
  "$bin/dinomaly" make-dataset drawn --size 64 --train 12 --good 4 --per-defect 2 --categories wood || return
  local run
  for run in one other; do
    "$bin/dinomaly" train drawn --device cuda --iterations "$check_iterations" --encoder random --batch 4 --resize 64 --crop 56 --out "$run" || return
    cut -d, -f1-4 "$run/log.csv" >"logs/log_$run.csv"
  done
  cmp logs/log_one.csv logs/log_other.csv || return
  cmp one/model.safetensors other/model.safetensors && echo "$check_iterations iterations twice: logs and models equal to the bit"
}
torch_peers() {
  [ -n "$torch_rows" ] || { echo 'not for this bundle'; return 77; }
  python3 -c 'import torch, sys; sys.exit(not torch.cuda.is_available())' 2>/dev/null || { echo 'no PyTorch with CUDA here'; return 77; }
  mkdir -p torch/venv/bin && ln -sf "$(command -v python3)" torch/venv/bin/python
  PYTHONPATH=$here/python python3 "$here/bench/compare.py" --device cuda --rows "$torch_rows" --minutes 1 --repeat 10 \
    --venv torch/venv --work torch/work --bench "$bin/bench_dinomaly" --out torch || return
  cp torch/RESULTS.md logs/
  grep -c '^| PyTorch' torch/RESULTS.md | sed 's/$/ rows of PyTorch in RESULTS.md/'
}
dearest_kernels() {
  command -v ncu >/dev/null || { echo 'no ncu here'; return 77; }
  ncu --csv --metrics gpu__time_duration.sum,sm__throughput.avg.pct_of_peak_sustained_elapsed,dram__throughput.avg.pct_of_peak_sustained_elapsed \
    --launch-count 400 "$bin/bench_dinomaly" train --arch "${train%%:*}" --batch 4 --device cuda --precision bf16 --kept-features --repeat 1 \
    >logs/ncu.csv || { tail -n 3 logs/ncu.csv; return 1; }
  awk -F'","' '/gpu__time_duration/ { gsub(/[",]/, "", $NF); time[$5] += $NF; count[$5]++ }
    END { for (k in time) printf "%14.0f ns %5d times  %s\n", time[k], count[k], k }' logs/ncu.csv | sort -rn | head -n 10 | tac
}
sanitized() {
  command -v compute-sanitizer >/dev/null || { echo 'no compute-sanitizer here'; return 77; }
  summed_up SUMMARY compute-sanitizer --tool "$1" --error-exitcode 9 "$bin/test_ops" --no-colors=true -tc="$sanitized_tests"
}
memcheck() { sanitized memcheck; }
racecheck() { sanitized racecheck; }
initcheck() { sanitized initcheck; }
synccheck() { sanitized synccheck; }

export here bin out size infer train iterations chunk check_iterations torch_rows sanitized_tests cublaslt
export -f summed_up reference bench seconds_of benches sanitized
step machine 10 machine
step tests_of_ops 60 tests_of_ops
step tests_of_backend 40 tests_of_backend
step reference_f32 20 reference_f32
step reference_bf16 20 reference_bf16
step same_twice 30 same_twice
step inference 40 inference
step training 40 training
step training_kept 30 training_kept
step profile 15 profile
step long_training 130 long_training
step torch_peers 70 torch_peers
step dearest_kernels 25 dearest_kernels
for tool in memcheck racecheck initcheck synccheck; do step $tool 15 $tool; done

# Logs of a size that can be sent: what is longer keeps its end.
for log in logs/*; do
  if [ "$(stat -c %s "$log")" -gt 2000000 ]; then tail -c 2000000 "$log" >"$log.end" && mv "$log.end" "$log"; fi
done
tar -czf logs.tar.gz table.txt logs && rm -rf logs one other drawn torch
echo "$out: table.txt, logs.tar.gz ($SECONDS s)"
exit $failed
