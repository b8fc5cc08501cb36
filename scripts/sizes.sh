#!/usr/bin/env bash
# How large the program is, with all its parts and without each: a table for README.md. A megabyte has 1,000,000 bytes; libraries are
# those that the program loads when it starts, and the libraries that these load.
#   sizes.sh [-DNAME=VALUE ...]    further CMake flags; builds in build-sizes/, for every x86-64 unless -DDINOMALY_NATIVE=ON
set -euo pipefail
cd "$(dirname "$0")/.."
directory=build-sizes
mkdir -p $directory
: >$directory/no_encoder
all=(-DDINOMALY_CURL=ON -DDINOMALY_SERVE=ON -DDINOMALY_VIDEO=ON -DDINOMALY_MQTT=ON -DDINOMALY_MPI=ON -DDINOMALY_CUDA=OFF
  -DDINOMALY_BUNDLED_ENCODER="$PWD/assets/encoder.safetensors"
  -DDINOMALY_NATIVE=OFF -DDINOMALY_TESTS=OFF -DDINOMALY_BENCH=OFF -DDINOMALY_EXAMPLES=OFF "$@")

row() {  # NAME [FLAG ...]
  local name=$1 program=$directory/stripped
  shift
  ./scripts/build.sh $directory "${all[@]}" "$@" dinomaly
  strip -o $program $directory/bin/dinomaly
  awk -v name="$name" -v bytes="$(stat -c %s $program)" -v libraries="$(ldd $program | grep -c '=>')" \
    'BEGIN { printf "| %s | %.2f | %d |\n", name, bytes / 1e6, libraries }'
}
without=()
for part in CURL SERVE VIDEO MQTT MPI; do without+=(-DDINOMALY_$part=OFF); done
without+=(-DDINOMALY_BUNDLED_ENCODER="$PWD/$directory/no_encoder")

echo "| the program | MB | libraries |"
echo "|---|---|---|"
row "with all parts"
row "without fetching and webhooks (\`-DDINOMALY_CURL=OFF\`)" "${without[0]}"
row "without the server (\`-DDINOMALY_SERVE=OFF\`)" "${without[1]}"
row "without videos (\`-DDINOMALY_VIDEO=OFF\`)" "${without[2]}"
row "without MQTT (\`-DDINOMALY_MQTT=OFF\`)" "${without[3]}"
row "without several processes (\`-DDINOMALY_MPI=OFF\`)" "${without[4]}"
row "without an encoder of its own (\`-DDINOMALY_BUNDLED_ENCODER=FILE\`, an empty one)" "${without[5]}"
row "with none of these" "${without[@]}"
