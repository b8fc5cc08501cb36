#!/usr/bin/env bash
# Builds the Python module in build/ and tests it. The last line counts: "N passed, N failed, N skipped".
#   test_python.sh [pytest's arguments]
# build/python-venv is made once; where that is impossible (no network, no Python 3.9 with venv and headers), all is skipped.
set -euo pipefail
cd "$(dirname "$0")/.."
venv=build/python-venv
skip() {
  echo "SKIPPED: the Python module: $*"
  echo "0 passed, 0 failed, 1 skipped"
  exit 0
}

command -v python3 >/dev/null || skip "there is no python3"
version=$(python3 -c 'import sys; print("%d.%d" % sys.version_info[:2])')
# Versions that are known to work together, the last ones for this Python; a venv of other ones is made anew.
case $version in
  2.* | 3.[0-8]) skip "python3 is $version, and the package needs 3.9" ;;
  3.9) packages=(nanobind==2.15.0 numpy==2.0.2 pillow==11.3.0 pytest==8.4.2) ;;
  3.10) packages=(nanobind==3.1.0 numpy==2.2.6 pillow==12.3.0 pytest==9.2.0) ;;
  *) packages=(nanobind==3.1.0 numpy==2.4.6 pillow==13.0.0 pytest==9.2.0) ;;
esac
packages_and_python="$version ${packages[*]}"
forgotten=()  # of what CMake has found
if [ "$(cat $venv/packages 2>/dev/null)" != "$packages_and_python" ]; then
  python3 -c 'import os, sysconfig, venv; os.stat(sysconfig.get_path("include") + "/Python.h")' 2>/dev/null ||
    skip "python3 has no headers (python3-dev) or no venv (python3-venv)"
  mkdir -p build
  rm -rf "$venv"
  python3 -m venv "$venv" >/dev/null 2>&1 || skip "python3 -m venv fails (python3-venv)"
  "$venv/bin/pip" install -q --disable-pip-version-check "${packages[@]}" >build/python-venv.log 2>&1 ||
    skip "pip cannot install ${packages[*]} (build/python-venv.log)"
  echo "$packages_and_python" >"$venv/packages"
  forgotten=('-U*Python*' '-Unanobind*')  # an earlier Python's headers
fi

./scripts/build.sh build "${forgotten[@]}" -DDINOMALY_PYTHON=ON -DPython_EXECUTABLE="$PWD/$venv/bin/python" _dinomaly_stub dinomaly
log=build/python-tests.log
status=0
OMP_WAIT_POLICY=passive PYTHONPATH=build/python "$venv/bin/python" -m pytest -q -rs -p no:cacheprovider tests/python "$@" \
  >"$log" 2>&1 || status=$?
[ $status -eq 0 ] || tail -n 60 "$log"
grep -E '^SKIPPED' "$log" | sed -E 's/^SKIPPED \[[0-9]+\] [^ ]+ /SKIPPED: /' || true
count() { tail -n 1 "$log" | awk -v what="$1" '{ for (i = 2; i <= NF; i++) if (index($i, what) == 1) n += $(i - 1) } END { print n + 0 }'; }
failed=$(($(count failed) + $(count error)))
[ $status -eq 0 ] || [ "$failed" -gt 0 ] || failed=1
echo "$(count passed) passed, $failed failed, $(count skipped) skipped"
[ $status -eq 0 ]
