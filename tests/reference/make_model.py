"""Writes model.safetensors: small Dinomalys, written down in PyTorch from the paper and the published options, float64.

    python3 make_model.py        (torch, numpy, safetensors)

A case holds images, weights (under "p.") and what follows from them: the target blocks' outputs, both sides of the
comparison, maps and scores, and with hard mining the loss and the gradients of all trained weights. Inputs and weights
are exact in bfloat16 and kept so.
"""

import math
import pathlib
import zlib

import numpy as np
import torch
import torch.nn.functional as F
from safetensors.torch import save_file

torch.set_default_dtype(torch.float64)
tensors = {}

WIDTH, HEADS, PATCH, TABLE, DEPTH = 8, 2, 4, (3, 4), 6
TARGETS, ENCODER_GROUPS, DECODER_GROUPS, DECODER_DEPTH = [1, 2, 4, 5], [[0, 1, 1], [2, 3]], [[0, 1], [2, 3]], 4
HEIGHT, WIDE, MAP, BLUR, SIGMA = 20, 24, 16, 5, 1.5
SHARE, FACTOR = 0.34, 0.1
NARROW = 5


class Weights:
    """Draws a weight when it is first asked for."""

    def __init__(self, name):
        self.random, self.values = np.random.default_rng(zlib.crc32(name.encode())), {}

    def __call__(self, name, *shape, around=0.0, spread=0.5):
        if name not in self.values:
            drawn = around + spread * torch.tensor(self.random.uniform(-1, 1, shape))
            self.values[name] = drawn.bfloat16().double().requires_grad_(not name.startswith("encoder."))
        return self.values[name]


def linear(w, name, x, out, bias=True):
    return F.linear(x, w(f"{name}.weight", out, x.shape[-1]), w(f"{name}.bias", out) if bias else None)


def norm(w, name, x, eps):
    width = x.shape[-1]
    return F.layer_norm(x, (width,), w(f"{name}.weight", width, around=1.0), w(f"{name}.bias", width), eps)


def recentred(x, patches):
    difference = patches - x[:, :1]
    return F.layer_norm(difference, (WIDTH,), eps=1e-8)


def heads_of(x):
    return x.reshape(*x.shape[:2], 3, HEADS, WIDTH // HEADS).permute(2, 0, 3, 1, 4)


def merged(x):
    return x.transpose(1, 2).flatten(2)


def softmax_attention(w, name, x):
    q, k, v = heads_of(linear(w, f"{name}.qkv", x, 3 * WIDTH))
    weights = torch.softmax(q @ k.mT / math.sqrt(WIDTH // HEADS), -1)
    return linear(w, f"{name}.proj", merged(weights @ v), WIDTH)


def linear_attention(w, name, x, eps):
    q, k, v = heads_of(linear(w, f"{name}.qkv", x, 3 * WIDTH))
    q, k = F.elu(q) + 1, F.elu(k) + 1
    return linear(w, f"{name}.proj", merged(q @ (k.mT @ v) / (q @ k.sum(2).unsqueeze(-1) + eps)), WIDTH)


def mlp(w, name, x, hidden, bias=True):
    return linear(w, f"{name}.fc2", F.gelu(linear(w, f"{name}.fc1", x, hidden, bias)), WIDTH, bias)


def swiglu(w, name, x, hidden):
    a, b = linear(w, f"{name}.w12", x, 2 * hidden).chunk(2, -1)
    return linear(w, f"{name}.w3", F.silu(a) * b, WIDTH)


def position_table(w, rows, columns, paper):
    table = w("encoder.pos_embed", 1, 1 + TABLE[0] * TABLE[1], WIDTH)
    grid = table[:, 1:].reshape(1, *TABLE, WIDTH).permute(0, 3, 1, 2)
    if paper:
        scale = ((rows + 0.1) / TABLE[0], (columns + 0.1) / TABLE[1])
        grid = F.interpolate(grid, scale_factor=scale, mode="bicubic")
    else:
        grid = F.interpolate(grid, size=(rows, columns), mode="bicubic")
    assert grid.shape[2:] == (rows, columns)
    return table[:, :1], grid.flatten(2).mT


def encode(w, images, registers, layer_scale, gated, paper):
    rows, columns = images.shape[2] // PATCH, images.shape[3] // PATCH
    name = "encoder.patch_embed.proj"
    patches = F.conv2d(images, w(f"{name}.weight", WIDTH, 3, PATCH, PATCH), w(f"{name}.bias", WIDTH), PATCH).flatten(2).mT
    first, table = position_table(w, rows, columns, paper)
    parts = [(w("encoder.cls_token", 1, 1, WIDTH) + first).expand(len(images), -1, -1)]
    if registers:
        parts.append(w("encoder.register_tokens", 1, registers, WIDTH).expand(len(images), -1, -1))
    x = torch.cat(parts + [patches + table], 1)
    outputs = []
    for i in range(DEPTH):
        block = f"encoder.blocks.{i}"
        scale1 = w(f"{block}.ls1.gamma", WIDTH, around=1.0) if layer_scale else 1
        scale2 = w(f"{block}.ls2.gamma", WIDTH, around=1.0) if layer_scale else 1
        x = x + scale1 * softmax_attention(w, f"{block}.attn", norm(w, f"{block}.norm1", x, 1e-6))
        fed = norm(w, f"{block}.norm2", x, 1e-6)
        x = x + scale2 * (swiglu(w, f"{block}.mlp", fed, 6) if gated else mlp(w, f"{block}.mlp", fed, 12))
        if i in TARGETS:
            outputs.append(x)
    return outputs


def mean(parts):
    return sum(parts) / len(parts)


def narrow_bottleneck(w, x):
    x = linear(w, "bottleneck.0.0", x, NARROW)
    return linear(w, "bottleneck.1.3", F.gelu(linear(w, "bottleneck.1.0", x, 4 * WIDTH)), WIDTH)


def reconstruct(w, x, bias, second):
    x = narrow_bottleneck(w, x) if second else mlp(w, "bottleneck.0", x, 4 * WIDTH, bias["bottleneck"])
    outputs = []
    for i in range(DECODER_DEPTH):
        x = x + linear_attention(w, f"decoder.{i}.attn", norm(w, f"decoder.{i}.norm1", x, 1e-8), 1e-8 if second else 0)
        x = x + mlp(w, f"decoder.{i}.mlp", norm(w, f"decoder.{i}.norm2", x, 1e-8), 4 * WIDTH, bias["decoder"])
        outputs.insert(0, x)
    return [mean([outputs[i] for i in group]) for group in DECODER_GROUPS]


def mining_loss(encoded, decoded):
    total = 0
    for e, d in zip(encoded, decoded):
        distance = 1 - F.cosine_similarity(e, d.detach(), dim=-1)
        threshold = distance.flatten().sort(descending=True).values[int(distance.numel() * (1 - SHARE)) - 1]
        weights = torch.where(distance < threshold, FACTOR, 1.0).unsqueeze(-1)
        d.register_hook(lambda gradient, weights=weights: gradient * weights)
        total = total + (1 - F.cosine_similarity(e.flatten(1), d.flatten(1))).mean()
    return total / len(encoded)


def maps(encoded, decoded, rows, columns, reflects, ratio):
    distances = [(1 - F.cosine_similarity(e, d, dim=-1)).reshape(-1, 1, rows, columns) for e, d in zip(encoded, decoded)]
    full = mean([F.interpolate(x, size=(HEIGHT, WIDE), mode="bilinear", align_corners=True) for x in distances])
    small = F.interpolate(full, size=(MAP, MAP), mode="bilinear", align_corners=False)
    offset = torch.arange(BLUR) - BLUR // 2
    weights = torch.exp(-(offset[:, None] ** 2 + offset**2) / (2 * SIGMA**2))
    padded = F.pad(small, [BLUR // 2] * 4, mode="reflect" if reflects else "constant")
    blurred = F.conv2d(padded, (weights / weights.sum())[None, None]).squeeze(1)
    largest = blurred.flatten(1).sort(descending=True).values[:, : max(1, int(ratio * MAP * MAP))]
    return full.squeeze(1), blurred, largest.mean(1)


def case(name, *, paper, registers, layer_scale, gated, tokens, ratio, second=False):
    w = Weights(name)
    images = torch.tensor(w.random.uniform(-2, 2, (2, 3, HEIGHT, WIDE))).bfloat16().double()
    with torch.no_grad():
        blocks = encode(w, images, registers, layer_scale, gated, paper)
    patches = [x[:, 1 + registers :] for x in blocks]
    if tokens == "recentred":
        patches = [p - x[:, :1] for p, x in zip(patches, blocks)]
    encoded = [mean([patches[i] for i in group]) for group in ENCODER_GROUPS]
    if second:
        whole = [mean([blocks[i] for i in group]) for group in ENCODER_GROUPS]
        encoded = [recentred(x, patch) for x, patch in zip(whole, encoded)]
    bottleneck_input = mean(blocks if tokens == "all" else patches)
    decoded = reconstruct(w, bottleneck_input, {"bottleneck": paper, "decoder": paper}, second)
    rows, columns = HEIGHT // PATCH, WIDE // PATCH
    decoded = [d[:, d.shape[1] - rows * columns :] for d in decoded]
    full, blurred, score = maps(encoded, [d.detach() for d in decoded], rows, columns, not paper, ratio)
    loss = mining_loss(encoded, decoded)
    loss.backward()

    found = {"images": images.bfloat16(), "map": full, "blurred": blurred, "score": score, "loss": loss}
    found |= {f"block.{i}": x for i, x in zip(TARGETS, blocks)}
    found |= {f"encoded.{i}": x for i, x in enumerate(encoded)} | {f"decoded.{i}": x for i, x in enumerate(decoded)}
    found |= {f"p.{key}": value.bfloat16() for key, value in w.values.items()}
    found |= {f"grad.{key}": value.grad for key, value in w.values.items() if value.requires_grad}
    tensors.update({f"{name}/{key}": value for key, value in found.items()})


case("paper", paper=True, registers=2, layer_scale=True, gated=False, tokens="all", ratio=0.03)
case("anomalib", paper=False, registers=0, layer_scale=False, gated=True, tokens="recentred", ratio=0.0)
case("patches_only", paper=True, registers=1, layer_scale=False, gated=False, tokens="patches", ratio=0.01)
case("dinomaly2", paper=True, registers=2, layer_scale=True, gated=False, tokens="all", ratio=0.02, second=True)

path = pathlib.Path(__file__).with_name("model.safetensors")
save_file({name: tensor.detach().contiguous().clone() for name, tensor in tensors.items()}, path)
print(f"{path.name}: {len(tensors)} tensors, {path.stat().st_size} bytes")
