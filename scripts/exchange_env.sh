#!/usr/bin/env bash
# exchange_env.sh [FOLDER]: the Python packages of the implementations that detectors are exchanged with (PyTorch, anomalib 2.7;
# some GB), into a virtual environment (build/exchange-venv if not named). Then, to run what is skipped without them:
#   DINOMALY_PYTHON=build/exchange-venv/bin/python build/bin/test_dinomaly --test-case='detectors *'
set -euo pipefail
cd "$(dirname "$0")/.."
folder=${1:-build/exchange-venv}
mkdir -p "$(dirname "$folder")"
[ -x "$folder/bin/python" ] || python3 -m venv "$folder"
"$folder/bin/pip" install --quiet --disable-pip-version-check torch torchvision safetensors 'anomalib==2.7.0'
"$folder/bin/python" -W ignore -c '
import torch, safetensors
from anomalib.models import Dinomaly'
echo "DINOMALY_PYTHON=$(cd "$folder" && pwd)/bin/python"
