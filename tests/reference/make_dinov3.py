"""Writes dinov3.safetensors: two small DINOv3 encoders, written down in PyTorch from the published facts, float64.

    python3 make_dinov3.py        (torch, numpy, safetensors)

A case holds images, weights under Meta's names ("p.") and the output of every block, for a grid and the same one
swapped. Its keys have biases that the mask must silence. Images and weights are exact in bfloat16 and kept so.
"""
import math
import pathlib
import zlib

import numpy as np
import torch
import torch.nn.functional as F
from safetensors.torch import save_file

torch.set_default_dtype(torch.float64)
WIDTH, HEADS, PATCH, DEPTH, STORAGE = 16, 2, 4, 3, 2
HEAD = WIDTH // HEADS
GRIDS = [(3, 5), (5, 3)]


class Weights:
    """Draws a weight when it is first asked for."""

    def __init__(self, name):
        self.random, self.values = np.random.default_rng(zlib.crc32(name.encode())), {}

    def __call__(self, name, *shape, around=0.0, spread=0.5):
        if name not in self.values:
            self.values[name] = (around + spread * torch.tensor(self.random.uniform(-1, 1, shape))).bfloat16().double()
        return self.values[name]


def linear(w, name, x, out):
    return F.linear(x, w(f"{name}.weight", out, x.shape[-1]), w(f"{name}.bias", out))


def norm(w, name, x):
    return F.layer_norm(x, (WIDTH,), w(f"{name}.weight", WIDTH, around=1.0), w(f"{name}.bias", WIDTH), 1e-5)


def angles(periods, rows, columns):
    """(patches, d): of each patch, row-major."""
    y = 2 * (torch.arange(rows) + 0.5) / rows - 1
    x = 2 * (torch.arange(columns) + 0.5) / columns - 1
    half = torch.cat([2 * math.pi * y[:, None, None].expand(rows, columns, 1) / periods,
                      2 * math.pi * x[None, :, None].expand(rows, columns, 1) / periods], -1).flatten(0, 1)
    return torch.cat([half, half], -1)


def rope(u, a):
    first, second = u.chunk(2, -1)
    return u * a.cos() + torch.cat([-second, first], -1) * a.sin()


def attention(w, name, x, a):
    mask = w.values[f"{name}.qkv.bias_mask"] = torch.tensor([1.0, 0.0, 1.0]).repeat_interleave(WIDTH)
    qkv = F.linear(x, w(f"{name}.qkv.weight", 3 * WIDTH, WIDTH), w(f"{name}.qkv.bias", 3 * WIDTH) * mask)
    q, k, v = qkv.reshape(*x.shape[:2], 3, HEADS, HEAD).permute(2, 0, 3, 1, 4)
    q, k = (torch.cat([u[:, :, :1 + STORAGE], rope(u[:, :, 1 + STORAGE:], a)], 2) for u in (q, k))
    out = torch.softmax(q @ k.mT / math.sqrt(HEAD), -1) @ v
    return linear(w, f"{name}.proj", out.transpose(1, 2).flatten(2), WIDTH)


def feed_forward(w, name, x, gated):
    if gated:
        hidden = F.silu(linear(w, f"{name}.w1", x, 24)) * linear(w, f"{name}.w2", x, 24)
        return linear(w, f"{name}.w3", hidden, WIDTH)
    return linear(w, f"{name}.fc2", F.gelu(linear(w, f"{name}.fc1", x, 4 * WIDTH)), WIDTH)


def encode(w, images, gated):
    patches = F.conv2d(images, w("patch_embed.proj.weight", WIDTH, 3, PATCH, PATCH, spread=0.2),
                       w("patch_embed.proj.bias", WIDTH), stride=PATCH)
    a = angles(w.values["rope_embed.periods"], *patches.shape[2:])
    tokens = [w("cls_token", 1, 1, WIDTH), w("storage_tokens", 1, STORAGE, WIDTH)]
    x = torch.cat([t.expand(images.shape[0], -1, -1) for t in tokens] + [patches.flatten(2).mT], 1)
    for n in range(DEPTH):
        block = f"blocks.{n}"
        x = x + w(f"{block}.ls1.gamma", WIDTH) * attention(w, f"{block}.attn", norm(w, f"{block}.norm1", x), a)
        x = x + w(f"{block}.ls2.gamma", WIDTH) * feed_forward(w, f"{block}.mlp", norm(w, f"{block}.norm2", x), gated)
        yield x


tensors = {}
for case in ("gelu", "swiglu"):
    weights = Weights(case)
    exact = torch.tensor([100.0 ** (4 * j / HEAD) for j in range(HEAD // 4)])
    # GELU: stored periods that went through bfloat16 and are none that anyone would compute; SwiGLU: the computed ones.
    weights.values["rope_embed.periods"] = (exact * 1.3).bfloat16().double() if case == "gelu" else exact.float().double()
    for rows, columns in GRIDS:
        name = f"{case}/{rows}x{columns}"
        random = np.random.default_rng(zlib.crc32(name.encode()))
        images = torch.tensor(random.uniform(-2, 2, (2, 3, rows * PATCH, columns * PATCH))).bfloat16()
        tensors[f"{name}/images"] = images
        for n, x in enumerate(encode(weights, images.double(), case == "swiglu")):
            tensors[f"{name}/block.{n}"] = x.contiguous()
    for name, value in weights.values.items():
        if name != "rope_embed.periods" or case == "gelu":
            tensors[f"{case}/p.{name}"] = value.float() if name == "rope_embed.periods" else value.bfloat16()
save_file(tensors, pathlib.Path(__file__).with_name("dinov3.safetensors"))
