"""Writes nn.safetensors: layers, blocks, optimizers, clipping and the learning rate, by PyTorch and numpy in float64.

    python3 make_nn.py        (torch, numpy, safetensors)

A layer's case holds its input, parameters (under "p."), output, a cotangent, and the gradients of input and parameters.
What is drawn for a case depends on its name alone: a new case changes no other one. It is exact in bfloat16 and kept so.
"""

import pathlib
import zlib

import numpy as np
import torch
import torch.nn.functional as F
from safetensors.torch import save_file
from torch import nn

torch.set_default_dtype(torch.float64)
tensors = {}


def random_of(name):
    return np.random.default_rng(zlib.crc32(name.encode()))


def exact(x):
    assert torch.equal(x.bfloat16().double(), x)
    return x.bfloat16()


def drawn(random, shape):
    return torch.tensor(random.uniform(-1, 1, shape)).bfloat16().double()


def case(name, module, shape, scale=1.0):
    """Parameters and input uniform in [-1, 1], the input times `scale`."""
    random = random_of(name)
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.copy_(drawn(random, tuple(parameter.shape)))
    x = (scale * drawn(random, shape)).requires_grad_()
    out = module(x)
    cotangent = drawn(random, tuple(out.shape))
    out.backward(cotangent)
    tensors[f"{name}/x"], tensors[f"{name}/grad.x"] = exact(x), x.grad
    tensors[f"{name}/out"], tensors[f"{name}/cotangent"] = out, exact(cotangent)
    for path, parameter in module.named_parameters():
        tensors[f"{name}/p.{path}"], tensors[f"{name}/grad.{path}"] = exact(parameter), parameter.grad


class LayerScale(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.gamma = nn.Parameter(torch.ones(width))

    def forward(self, x):
        return x * self.gamma


class Mlp(nn.Module):
    def __init__(self, width, hidden, bias=True):
        super().__init__()
        self.fc1, self.fc2 = nn.Linear(width, hidden, bias), nn.Linear(hidden, width, bias)

    def forward(self, x):
        return self.fc2(F.gelu(self.fc1(x)))


class SwiGLU(nn.Module):
    def __init__(self, width, hidden):
        super().__init__()
        self.w12, self.w3 = nn.Linear(width, 2 * hidden), nn.Linear(hidden, width)

    def forward(self, x):
        a, b = self.w12(x).chunk(2, -1)
        return self.w3(F.silu(a) * b)


class Attention(nn.Module):
    """Softmax attention; with `eps`, linear attention."""

    def __init__(self, width, heads, eps=None):
        super().__init__()
        self.heads, self.eps = heads, eps
        self.qkv, self.proj = nn.Linear(width, 3 * width), nn.Linear(width, width)

    def forward(self, x):
        batch, tokens, width = x.shape
        q, k, v = self.qkv(x).reshape(batch, tokens, 3, self.heads, width // self.heads).permute(2, 0, 3, 1, 4)
        if self.eps is None:
            out = F.scaled_dot_product_attention(q, k, v)
        else:
            q, k = F.elu(q) + 1, F.elu(k) + 1
            out = q @ (k.mT @ v) / (q @ k.sum(-2).unsqueeze(-1) + self.eps)
        return self.proj(out.transpose(1, 2).reshape(batch, tokens, width))


class PatchEmbed(nn.Module):
    def __init__(self, patch, width):
        super().__init__()
        self.proj = nn.Conv2d(3, width, patch, patch)

    def forward(self, images):
        return self.proj(images).flatten(2).mT


class Block(nn.Module):
    def __init__(self, width, attention, mlp, norm_eps, layer_scale):
        super().__init__()
        self.norm1, self.attn = nn.LayerNorm(width, norm_eps), attention
        self.ls1 = LayerScale(width) if layer_scale else nn.Identity()
        self.norm2, self.mlp = nn.LayerNorm(width, norm_eps), mlp
        self.ls2 = LayerScale(width) if layer_scale else nn.Identity()

    def forward(self, x):
        x = x + self.ls1(self.attn(self.norm1(x)))
        return x + self.ls2(self.mlp(self.norm2(x)))


# --- tests/nn/layers_test.cpp
case("linear", nn.Linear(5, 4), (2, 3, 5))
case("linear_without_bias", nn.Linear(5, 4, False), (3, 5))
case("layer_norm", nn.LayerNorm(9, 1e-2), (2, 3, 9))
case("layer_scale", LayerScale(5), (2, 3, 5))
case("mlp", Mlp(6, 10), (2, 3, 6))
case("mlp_without_bias", Mlp(6, 10, False), (2, 3, 6))
case("swiglu", SwiGLU(6, 5), (2, 3, 6))
case("attention", Attention(12, 3), (2, 5, 12))
case("linear_attention", Attention(12, 2, 0.1), (2, 5, 12))
case("conv2d", nn.Conv2d(4, 6, 3, (2, 1), (0, 1), groups=2), (2, 4, 7, 5))
case("conv2d_without_bias", nn.Conv2d(2, 3, 2, bias=False), (1, 2, 4, 3))
case("patch_embed", PatchEmbed(4, 5), (2, 3, 8, 12))

# --- tests/dinomaly: inputs so small that the norms' eps counts.
case("encoder_block", Block(8, Attention(8, 2), Mlp(8, 12), 1e-6, True), (2, 5, 8), 2**-10)
case("encoder_block_swiglu", Block(8, Attention(8, 1), SwiGLU(8, 6), 1e-6, False), (2, 5, 8), 2**-10)
case("decoder_block_paper", Block(8, Attention(8, 2, 0), Mlp(8, 32), 1e-8, False), (2, 5, 8), 2**-13)
case("decoder_block_anomalib", Block(8, Attention(8, 2, 0), Mlp(8, 32, False), 1e-8, False), (2, 5, 8), 2**-13)
case("bottleneck_paper", nn.Sequential(Mlp(6, 24)), (2, 3, 6))
case("bottleneck_anomalib", nn.Sequential(Mlp(6, 24, False)), (2, 3, 6))
case("decoder_block_dinomaly2", Block(8, Attention(8, 2, 1e-8), Mlp(8, 32), 1e-8, False), (2, 5, 8), 2**-13)
narrow = nn.Sequential(nn.Linear(6, 5), nn.Dropout(0))
case("bottleneck_dinomaly2", nn.Sequential(narrow, nn.Sequential(nn.Linear(5, 24), nn.GELU(), nn.Dropout(0), nn.Linear(24, 6))),
     (2, 3, 6))


# --- tests/nn/optimizer_test.cpp: per step a learning rate and gradients; the parameters afterwards.
class StableAdamW:
    """Wortsman et al. 2023 with AMSGrad, written down from the formula."""

    def __init__(self, parameters, lr, eps, weight_decay, amsgrad=True):
        self.parameters, self.eps, self.weight_decay, self.amsgrad = parameters, eps, weight_decay, amsgrad
        self.param_groups = [{"lr": lr}]
        self.state = [[torch.zeros_like(p) for _ in range(3)] for p in parameters]
        self.steps, self.largest_rms, self.vmax_counted = 0, 0.0, False

    @torch.no_grad()
    def step(self):
        self.steps += 1
        lr, beta1, beta2 = self.param_groups[0]["lr"], 0.9, 0.999
        for p, (m, v, vmax) in zip(self.parameters, self.state):
            p.mul_(1 - lr * self.weight_decay)
            m.mul_(beta1).add_(p.grad * (1 - beta1))
            v.mul_(beta2).add_(p.grad**2 * (1 - beta2))
            vmax.copy_(torch.maximum(vmax, v) if self.amsgrad else v)
            self.vmax_counted = self.vmax_counted or bool((vmax > v).any())
            denominator = vmax.sqrt() / (1 - beta2**self.steps) ** 0.5 + self.eps
            rms = (p.grad / denominator).square().mean().sqrt().item()
            self.largest_rms = max(self.largest_rms, rms)
            p.sub_(lr / (1 - beta1**self.steps) / max(1.0, rms) * m / denominator)


def optimizer_case(name, make):
    """Gradients of `a` shrink and those of `b` grow from step to step."""
    random = random_of("optimizer")
    parameters = {"a": drawn(random, (3, 4)), "b": drawn(random, (5,))}
    leaves = {key: value.clone().requires_grad_() for key, value in parameters.items()}
    optimizer = make(list(leaves.values()))
    rates = [0, 1e-2, 2e-2, 5e-3, 5e-3, 1e-2]
    tensors[f"{name}/rates"] = torch.tensor(rates)
    for key, value in parameters.items():
        tensors[f"{name}/{key}"] = exact(value)
    for step, rate in enumerate(rates):
        leaves["a"].grad = drawn(random, (3, 4)) / 4.0**step
        leaves["b"].grad = drawn(random, (5,)) * 4.0**step
        optimizer.param_groups[0]["lr"] = rate
        optimizer.step()
        for key, leaf in leaves.items():
            tensors[f"{name}/{key}.grad.{step}"] = exact(leaf.grad)
            tensors[f"{name}/{key}.{step}"] = leaf.detach().clone()
    return optimizer


optimizer_case("sgd", lambda p: torch.optim.SGD(p, 0))
optimizer_case("sgd_momentum", lambda p: torch.optim.SGD(p, 0, momentum=0.9, weight_decay=0.1))
optimizer_case("adamw", lambda p: torch.optim.AdamW(p, 0, betas=(0.8, 0.95), eps=1e-3, weight_decay=0.1))
for label, eps in [("paper", 1e-10), ("large_eps", 1e-2)]:
    stable = optimizer_case(f"stable_adamw_{label}", lambda p: StableAdamW(p, 0, eps, 0.1))
    assert stable.largest_rms > 1.5 and stable.vmax_counted
optimizer_case("stable_adamw_no_amsgrad", lambda p: StableAdamW(p, 0, 1e-10, 0.1, amsgrad=False))

# --- tests/nn/clip_grad_norm_test.cpp
for label, largest in [("clipped", 0.1), ("kept", 100.0)]:
    random = random_of("clip")
    leaves = [torch.zeros(shape).requires_grad_() for shape in [(3, 4), (5,)]]
    for i, leaf in enumerate(leaves):
        leaf.grad = drawn(random, tuple(leaf.shape))
        tensors[f"clip_{label}/grad.{i}"] = leaf.grad.clone()
    tensors[f"clip_{label}/norm"] = torch.nn.utils.clip_grad_norm_(leaves, largest)
    for i, leaf in enumerate(leaves):
        tensors[f"clip_{label}/after.{i}"] = leaf.grad

# --- tests/nn/schedule_test.cpp: 2e-3 after 100 steps, 2e-4 at the end.
for total in [10000, 5000, 301, 101, 100, 40]:
    i = np.arange(max(total - 100, 0))
    cosine = 2e-4 + 0.5 * (2e-3 - 2e-4) * (1 + np.cos(np.pi * i / max(total - 100, 1)))
    rates = np.concatenate([np.linspace(0, 2e-3, 100), cosine])[:total]
    steps = sorted({s for s in [0, 1, 2, 50, 98, 99, 100, 101, 102, total // 2, total - 2, total - 1] if s < total})
    after = [total, total + 1, 10 * total]
    tensors[f"schedule/{total}/steps"] = torch.tensor(steps + after)
    tensors[f"schedule/{total}/rates"] = torch.tensor([float(rates[s]) for s in steps] + [2e-4] * len(after))

# Dinomaly2's: step 99 has 0.99 of the peak, the end `ratio` times the peak.
for ratio in [1.0, 0.1]:
    steps = np.array([0, 1, 50, 99, 100, 101, 20050, 39999, 40000, 50000])
    i = np.clip((steps - 100) / (40000 - 100), 0, 1)
    rates = np.where(steps < 100, steps / 100, ratio + (1 - ratio) * (1 + np.cos(np.pi * i)) / 2) * 2e-3
    tensors[f"schedule_dinomaly2/{ratio:g}/steps"] = torch.tensor(steps)
    tensors[f"schedule_dinomaly2/{ratio:g}/rates"] = torch.tensor(rates)

path = pathlib.Path(__file__).with_name("nn.safetensors")
save_file({name: tensor.detach().contiguous().clone() for name, tensor in tensors.items()}, path)
print(f"{path.name}: {len(tensors)} tensors, {path.stat().st_size} bytes")
