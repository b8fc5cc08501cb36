#!/usr/bin/env bash
# exchange_env.sh [FOLDER]: the Python packages of the implementations that detectors and encoders are exchanged with
# (PyTorch, anomalib 2.7, timm, transformers; some GB), into a virtual environment (build/exchange-venv if not named). Then, to run what is skipped without them:
#   DINOMALY_PYTHON=build/exchange-venv/bin/python build/bin/test_dinomaly --test-case='detectors *,DINOv3 encoders *'
set -euo pipefail
cd "$(dirname "$0")/.."
folder=${1:-build/exchange-venv}
mkdir -p "$(dirname "$folder")"
[ -x "$folder/bin/python" ] || python3 -m venv "$folder"
"$folder/bin/pip" install --quiet --disable-pip-version-check torch torchvision safetensors 'timm>=1.0.31' 'transformers>=5.24' \
  'anomalib==2.7.0'
"$folder/bin/python" -W ignore -c '
import torch, safetensors, transformers
from timm.models.eva import Eva
from anomalib.models import Dinomaly'
echo "DINOMALY_PYTHON=$(cd "$folder" && pwd)/bin/python"
