#!/usr/bin/env bash
# kernel_resources.sh LIBRARY [FOLDER ...]: what the compiler has given each kernel of libdinomaly_cuda.a, for every architecture:
# no local memory, which is the GPU's slow one, and registers for at least half of the threads that a multiprocessor can hold: 64,
# with blocks of 256 threads. Asks cuobjdump, of PATH or the first FOLDER that has it (as NVIDIA's package for Python does:
# FOLDER/nvidia/*/bin), and says that it is skipped where there is none.
set -euo pipefail
library=$(realpath "$1")
shift
for candidate in cuobjdump $(for folder in "$@"; do echo "$folder"/cuobjdump "$folder"/nvidia/*/bin/cuobjdump; done); do
  if command -v "$candidate" >/dev/null; then cuobjdump=$candidate; break; fi
done
if [ -z "${cuobjdump:-}" ]; then
  echo 'SKIPPED: no cuobjdump (NVIDIA packages it for Python: nvidia-cuda-cuobjdump): the registers of CUDA kernels'
  exit 0
fi
objects=$(mktemp -d)
trap 'rm -rf "$objects"' EXIT
(cd "$objects" && ar x "$library")
for object in "$objects"/*.cu.o; do "$cuobjdump" -res-usage "$object"; done 2>/dev/null | c++filt -n |
  awk -v most_registers=64 '
    function number(name) { match($0, name ":[0-9]+"); return substr($0, RSTART + length(name) + 1, RLENGTH - length(name) - 1) + 0 }
    /^arch = /     { arch = $3 }
    /^ Function /  { kernel = $0; sub(/^ Function /, "", kernel); sub(/:$/, "", kernel); gsub(/\(anonymous namespace\)::/, "", kernel) }
    /REG:[0-9]/ && kernel != "" {
      ours = kernel ~ /nabla::/ && kernel !~ /cub::/
      registers = number("REG"); memory = number("STACK") + number("LOCAL")
      if (ours) ++count
      if (ours && memory > 0) { print arch ": " memory " bytes of local memory: " kernel; ++bad }
      if (ours && registers > most_registers) { print arch ": " registers " registers: " kernel; ++bad }
      if (ours && registers > most) { most = registers; which = kernel }
      kernel = ""
    }
    END {
      print count + 0 " kernels, at most " most + 0 " registers: " which
      if (count < 100) { print "expected at least 100 kernels"; ++bad }
      exit bad > 0
    }'
