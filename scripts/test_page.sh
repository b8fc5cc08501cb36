#!/usr/bin/env bash
# Tests the page of `dinomaly serve` in a headless Chromium (tests/page) and leaves screenshots in build/page/.
#   test_page.sh [BUILD]   the build folder, with bin/dinomaly
# Needs chromium (apt-get install chromium; not installed here, it is large) and Python; playwright goes to
# BUILD/page-venv. Without them it says so and ends with status 0.
set -euo pipefail
cd "$(dirname "$0")/.."
build=${1:-build}
skip() { echo "SKIPPED: test_page: $*"; exit 0; }
chromium=$(command -v chromium || command -v chromium-browser) || skip "there is no chromium"
[ -x "$build/bin/dinomaly" ] || { echo "test_page: $build/bin/dinomaly is missing; run scripts/build.sh" >&2; exit 2; }
venv=$build/page-venv out=$build/page
if [ ! -x "$venv/bin/python" ] || ! "$venv/bin/python" -c 'import playwright' 2>/dev/null; then
  python3 -m venv "$venv" && "$venv/bin/pip" install -q playwright || skip "playwright cannot be installed"
fi
mkdir -p "$out"
if [ ! -f "$out/model.safetensors" ]; then  # small: the page is tested, not the detector
  "$build/bin/dinomaly" make-dataset "$out/parts" --categories flange --good 12 --train 12
  "$build/bin/dinomaly" train "$out/parts" --iterations 20 --batch 2 --out "$out/run" >"$out/train.log"
  cp "$out/run/model.safetensors" "$out/model.safetensors"
fi
"$venv/bin/python" tests/page/page_test.py "$build/bin/dinomaly" "$out/model.safetensors" \
  "$out"/parts/flange/test/{missing_part,small,good}/000.png --chromium "$chromium" --out "$out"
