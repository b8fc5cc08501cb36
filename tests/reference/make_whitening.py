"""Writes whitening.safetensors: mean, covariance and ZCA matrices of features, by numpy in float64.

    python3 make_whitening.py        (numpy, safetensors)

x (4, 16, 7) lies far from 0 and varies along few directions; it is exact in bfloat16. W.RANK.SHRINKAGE holds
U_r (L_r + shrinkage mean(L))^-1/2 U_r^T, y.RANK.SHRINKAGE (x - mean) W.
"""

import pathlib

import numpy as np
from safetensors.numpy import save_file

random = np.random.default_rng(11)
directions = np.linalg.qr(random.normal(size=(7, 7)))[0]
x = 3 + random.normal(size=(4, 16, 7)) * [4, 2, 1, 0.5, 0.1, 0.05, 0.01] @ directions
x = (x.astype(np.float32).view(np.uint32) & 0xFFFF0000).view(np.float32).astype(np.float64)

tokens = x.reshape(-1, 7)
mean = tokens.mean(0)
covariance = np.cov(tokens.T, bias=True)
values, vectors = np.linalg.eigh(covariance)
tensors = {"x": x, "mean": mean}
for rank in (3, 7):
    for shrinkage in (0.01, 0.5):
        leading = vectors[:, -rank:]
        scale = 1 / np.sqrt(values[-rank:] + shrinkage * values.mean())
        matrix = leading * scale @ leading.T
        tensors[f"W.{rank}.{shrinkage}"] = matrix
        tensors[f"y.{rank}.{shrinkage}"] = (x - mean) @ matrix
save_file(tensors, pathlib.Path(__file__).parent / "whitening.safetensors")
