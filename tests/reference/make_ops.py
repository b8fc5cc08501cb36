"""Writes ops.safetensors: for every OpCase of tests/ops its inputs, output, cotangent and gradients by PyTorch.

    python3 make_ops.py        (torch, numpy, safetensors)

All values are float64. Inputs and cotangents are exact in bfloat16, so every dtype starts from the same numbers.
One line a case: name and shapes as in the case's C++ declaration, then the op in PyTorch. It stands beside that
declaration, as a comment `// PyTorch: case(...)`, or below, where it needs help from Python. What is drawn for a case
depends on its name alone: a new case changes no other one.
"""

import pathlib
import zlib

import numpy as np
import torch
import torch.nn.functional as F
from safetensors.torch import save_file

tensors = {}


def uniform(random, shapes, low, high):
    return [torch.tensor(random.uniform(low, high, shape)).bfloat16().double() for shape in shapes]


def distinct(random, shapes, low, high):
    """No two elements equal, none 0: for ops with a kink where elements meet."""
    sizes = [int(np.prod(shape)) for shape in shapes]
    grid = (2 * random.permutation(128)[: sum(sizes)] - 127) / 64
    return [torch.tensor(part).reshape(shape) for part, shape in zip(np.split(grid, np.cumsum(sizes)[:-1]), shapes)]


def fixed(*values):
    return lambda random, shapes, low, high: [torch.tensor(value, dtype=torch.float64) for value in values]


def case(name, shapes, function, low=-2.0, high=2.0, draw=uniform):
    random = np.random.default_rng(zlib.crc32(name.encode()))
    inputs = [x.requires_grad_() for x in draw(random, shapes, low, high)]
    assert [tuple(x.shape) for x in inputs] == shapes, name
    out = function(*inputs)
    cotangent = torch.tensor(random.normal(size=tuple(out.shape))).bfloat16().double()
    gradients = torch.autograd.grad(out, inputs, cotangent)
    tensors[f"{name}/out"] = out
    tensors[f"{name}/cotangent"] = cotangent
    for i, (x, gradient) in enumerate(zip(inputs, gradients)):
        tensors[f"{name}/in.{i}"] = x
        tensors[f"{name}/grad.{i}"] = gradient


def philox(seed, counter):
    """Philox 4x32-10 (Salmon et al., 2011): the four words of one block."""
    mask = 0xFFFFFFFF
    c = [counter & mask, counter >> 32, 0, 0]
    k = [seed & mask, seed >> 32]
    for _ in range(10):
        low, high = 0xD2511F53 * c[0], 0xCD9E8D57 * c[2]
        c = [high >> 32 ^ c[1] ^ k[0], high & mask, low >> 32 ^ c[3] ^ k[1], low & mask]
        k = [k[0] + 0x9E3779B9 & mask, k[1] + 0xBB67AE85 & mask]
    return c


assert philox(0, 0) == [0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8]  # Random123's known answer


def dropout(x, p, seed, offset):
    words = [philox(seed, offset + i // 4)[i % 4] for i in range(x.numel())]
    mask = torch.tensor([(word >> 8) * 2.0**-24 >= p for word in words]).reshape(x.shape)
    return x * mask / (1 - p)


def thirds(*shape):
    return (torch.arange(int(np.prod(shape))) % 3 != 0).reshape(shape)


def attention(q, k, v, scale):
    return torch.softmax(scale * q @ k.transpose(-1, -2), -1) @ v


def linear_attention(q, k, v, eps):
    q, k = F.elu(q) + 1, F.elu(k) + 1
    return q @ (k.transpose(-1, -2) @ v) / (q @ k.sum(-2).unsqueeze(-1) + eps)


def rope(x, prefix):
    """Turns all but the first tokens by the angles 0.3 (token + 1) (j + 1)."""
    tokens, pairs = x.shape[2] - prefix, x.shape[3] // 2
    angles = 0.3 * torch.outer(torch.arange(1.0, tokens + 1, dtype=x.dtype), torch.arange(1.0, pairs + 1, dtype=x.dtype))
    turned = torch.view_as_complex(torch.stack(x.split(pairs, -1), -1)[:, :, prefix:]) * torch.polar(torch.ones_like(angles), angles)
    return torch.cat([x[:, :, :prefix], torch.cat([turned.real, turned.imag], -1)], 2)


def packed(function, qkv, heads, number):
    b, n, width = qkv.shape
    q, k, v = qkv.reshape(b, n, 3, heads, width // (3 * heads)).permute(2, 0, 3, 1, 4)
    return function(q, k, v, number).transpose(1, 2).reshape(b, n, width // 3)


def resize(**how):
    return lambda x: F.interpolate(x[None], **how)[0]


# --- Cases whose line stands beside their OpCase
for source in sorted(pathlib.Path(__file__).parent.parent.glob("*/*_test.cpp")):
    for line in source.read_text().splitlines():
        if line.startswith("// PyTorch: "):
            exec(line.removeprefix("// PyTorch: "))

# --- arithmetic_test.cpp
for name, function in [("add", torch.add), ("sub", torch.sub), ("mul", torch.mul)]:
    case(name, [(3, 7), (3, 7)], function)
case("add.broadcast", [(2, 1, 3), (4, 1)], torch.add)
case("sub.broadcast", [(4, 1), (2, 1, 3)], torch.sub)
case("mul.broadcast", [(2, 1, 3), (4, 1)], torch.mul)
case("div", [(3, 7), (3, 7)], torch.div, 0.5, 2)
case("div.broadcast", [(2, 1, 3), (4, 1)], torch.div, 0.5, 2)
case("maximum", [(3, 7), (3, 7)], torch.maximum, draw=distinct)
case("maximum.broadcast", [(2, 1, 3), (4, 1)], torch.maximum, draw=distinct)
case("where", [(3, 7), (3, 7)], lambda a, b: torch.where(thirds(3, 7), a, b))
case("where.broadcast", [(3, 1), (1, 5)], lambda a, b: torch.where(thirds(2, 1, 5), a, b))
case("affine", [(3, 7)], lambda x: -1.5 * x + 0.25)

# --- reduction_test.cpp
for name, function, draw in [("sum", torch.sum, uniform), ("mean", torch.mean, uniform), ("max", torch.amax, distinct)]:
    case(name, [(2, 3, 5)], lambda x: function(x, (0, 1, 2)), draw=draw)
    case(f"{name}.axis_2", [(2, 3, 5)], lambda x: function(x, 2), draw=draw)
    case(f"{name}.axes_0_2", [(2, 3, 5)], lambda x: function(x, (0, 2)), draw=draw)
case("sum.axis_1", [(2, 3, 5)], lambda x: x.sum(1))
case("sum.keep", [(2, 3, 5)], lambda x: x.sum((-1, 0), keepdim=True))
case("mean.keep", [(2, 3, 5)], lambda x: x.mean(1, keepdim=True))
case("max.keep", [(2, 3, 5)], lambda x: x.amax(1, keepdim=True), draw=distinct)
case("max.ties", [(3, 6)], lambda x: x.amax(1), draw=fixed([[1, 2, 2, 0, 2, -1], [3, 3, 3, 3, 3, 3], [0, 1, 0, 1, 0, 0]]))

# --- view_test.cpp
case("reshape", [(2, 6)], lambda x: x.reshape(3, -1))
case("reshape.flat", [(3, 5)], lambda x: x.reshape(-1))
case("transpose", [(2, 3, 4)], lambda x: x.transpose(0, -1))
case("permute", [(2, 3, 4)], lambda x: x.permute(2, 0, -2))
case("slice", [(3, 7, 2)], lambda x: x[:, 1:6:2])
case("slice.first", [(3, 5)], lambda x: x[:1])
case("slice.empty", [(3, 4)], lambda x: x[2:2])
case("expand", [(3, 1)], lambda x: x.expand(2, 3, 4))
case("expand.rows", [(33,)], lambda x: x.expand(2, 33))
case("expand.empty", [(3, 1)], lambda x: x.expand(3, 0))

# --- cat_test.cpp
case("cast", [(3, 7)], lambda x: 3 * x)
case("cat", [(2, 3), (2, 1), (2, 4)], lambda *parts: torch.cat(parts, -1))
case("cat.axis_0", [(2, 3, 2), (1, 3, 2)], lambda *parts: torch.cat(parts, 0))
case("cat.stack", [(2, 3), (2, 3), (2, 3)], lambda *parts: torch.stack(parts, 1))
case("cat.stack_last", [(2, 3), (2, 3)], lambda *parts: torch.stack(parts, -1))

# --- matmul_test.cpp, linear_test.cpp
case("matmul", [(3, 5), (5, 4)], lambda a, b: a @ b)
case("matmul.batched", [(2, 3, 2, 5), (2, 3, 5, 4)], lambda a, b: a @ b)
case("matmul.a_transposed", [(2, 5, 3), (2, 5, 4)], lambda a, b: a.mT @ b)
case("matmul.b_transposed", [(2, 3, 5), (2, 4, 5)], lambda a, b: a @ b.mT)
case("matmul.both_transposed", [(2, 5, 3), (2, 4, 5)], lambda a, b: a.mT @ b.mT)
case("matmul.shared_b", [(2, 3, 5), (5, 4)], lambda a, b: a @ b)
case("matmul.shared_b_transposed", [(2, 5, 3), (4, 5)], lambda a, b: a.mT @ b.mT)
case("matmul.shared_a", [(3, 5), (2, 5, 4)], lambda a, b: a @ b)
case("matmul.shared_a_transposed", [(5, 3), (2, 4, 5)], lambda a, b: a.mT @ b.mT)
case("linear", [(2, 3, 5), (4, 5), (4,)], F.linear)
case("linear.no_bias", [(3, 5), (4, 5)], F.linear)

case("linear.residual", [(2, 3, 5), (4, 5), (4,), (2, 3, 4)], lambda x, w, b, r: r + F.linear(x, w, b))
case("add.scaled_linear", [(2, 3, 5), (4, 5), (4,), (2, 3, 4), (4,)], lambda x, w, b, r, s: r + s * F.linear(x, w, b))
case("linear.frozen_scale", [(2, 3, 5), (4, 5), (4,), (2, 3, 4)], lambda x, w, b, r: r + F.linear(x, w, b) / 4)


def mlp(x, w1, b1, w2, b2):
    return F.linear(F.gelu(F.linear(x, w1, b1)), w2, b2)


# --- mlp_test.cpp
case("mlp", [(2, 3, 5), (7, 5), (7,), (4, 7), (4,)], mlp)
case("mlp.no_bias", [(3, 5), (7, 5), (5, 7)], lambda x, w1, w2: mlp(x, w1, None, w2, None))
case("mlp.residual", [(2, 3, 5), (7, 5), (7,), (5, 7), (5,)], lambda x, *layers: x + mlp(x, *layers))
case("add.scaled_mlp", [(3, 5), (7, 5), (7,), (4, 7), (4,), (3, 4), (4,)], lambda x, w1, b1, w2, b2, r, s: r + s * mlp(x, w1, b1, w2, b2))

# --- layer_norm_test.cpp, softmax_test.cpp, cross_entropy_test.cpp
case("layer_norm", [(2, 3, 17), (17,), (17,)], lambda x, w, b: F.layer_norm(x, (17,), w, b, 1e-6))
case("softmax", [(2, 3, 7)], lambda x: torch.softmax(x, -1))
case("softmax.large", [(3, 5)], lambda x: torch.softmax(x, -1), 100, 102)
case("log_softmax", [(2, 3, 7)], lambda x: torch.log_softmax(x, -1))
case("log_softmax.large", [(3, 5)], lambda x: torch.log_softmax(x, -1), 100, 102)
case("cross_entropy", [(5, 7)], lambda x: F.cross_entropy(x, 3 * torch.arange(5) % 7))
case("cross_entropy.ignoring", [(5, 7)], lambda x: F.cross_entropy(x, torch.tensor([0, -100, 2, -100, 4])))

# --- attention_test.cpp, linear_attention_test.cpp
case("attention", [(2, 2, 5, 7), (2, 2, 4, 7), (2, 2, 4, 7)], lambda q, k, v: attention(q, k, v, 0.3))
case("attention.self", [(1, 2, 6, 4)] * 3, lambda q, k, v: attention(q, k, v, 0.5))
case("packed_attention", [(2, 5, 18)], lambda qkv: packed(attention, qkv, 2, 0.6))
case("linear_attention", [(2, 2, 5, 3)] * 3, lambda q, k, v: linear_attention(q, k, v, 0))
case("linear_attention.eps", [(1, 2, 5, 3)] * 3, lambda q, k, v: linear_attention(q, k, v, 0.5))
case("packed_linear_attention", [(2, 5, 18)], lambda qkv: packed(linear_attention, qkv, 2, 1e-6))

# --- dropout_test.cpp, conv2d_test.cpp
case("dropout", [(5, 9)], lambda x: dropout(x, 0.3, seed=7, offset=5))
case("conv2d", [(2, 3, 5, 6), (4, 3, 3, 2), (4,)], F.conv2d)
case("conv2d.stride_padding", [(1, 2, 7, 6), (3, 2, 3, 2)], lambda x, w: F.conv2d(x, w, stride=(2, 3), padding=(1, 2)))
case("conv2d.groups", [(2, 4, 5, 4), (6, 2, 3, 3), (6,)], lambda x, w, b: F.conv2d(x, w, b, padding=1, groups=2))
case("conv2d.depthwise", [(1, 3, 4, 5), (3, 1, 2, 3), (3,)], lambda x, w, b: F.conv2d(x, w, b, groups=3))
case("conv2d.patches", [(1, 3, 8, 9), (5, 3, 4, 4), (5,)], lambda x, w, b: F.conv2d(x, w, b, stride=4))

# --- interpolate_test.cpp
case("interpolate.nearest", [(2, 3, 5)], resize(size=(7, 9), mode="nearest"))
case("interpolate.nearest_down", [(2, 3, 5)], resize(size=(2, 3), mode="nearest"))
case("interpolate.bilinear", [(2, 3, 5)], resize(size=(7, 4), mode="bilinear"))
case("interpolate.bilinear_corners", [(2, 3, 5)], resize(size=(7, 4), mode="bilinear", align_corners=True))
case("interpolate.bilinear_to_one", [(2, 3, 5)], resize(size=(1, 6), mode="bilinear", align_corners=True))
case("interpolate.bicubic", [(2, 3, 5)], resize(size=(7, 4), mode="bicubic"))
case("interpolate.bicubic_corners", [(2, 3, 5)], resize(size=(4, 8), mode="bicubic", align_corners=True))
for mode in ["bicubic", "bilinear"]:
    case(f"interpolate.{mode}_scaled", [(2, 4, 4)], resize(scale_factor=(6.1 / 4, 3.1 / 4), mode=mode))

# --- cosine_similarity_test.cpp
case("cosine_similarity", [(3, 4, 7), (3, 4, 7)], lambda a, b: F.cosine_similarity(a, b, -1))
case("cosine_similarity.tiny", [(2, 3), (2, 3)], lambda a, b: F.cosine_similarity(a, b, -1),
     draw=fixed([[2.0**-34, -(2.0**-33), 0], [1, 0.5, -2]], [[0.5, -1, 2], [0.25, 1, 1.5]]))

# --- selection_test.cpp
random = np.random.default_rng(0)
x = torch.tensor(random.integers(-2, 3, (2, 3, 4)), dtype=torch.float64)
row = torch.tensor(random.integers(-1, 2, (4,)), dtype=torch.float64)
plain = {"x": x, "row": row, "distinct": distinct(random, [(3, 9)], -2, 2)[0], "greater_one": x > 1}
for axis in range(3):
    for descending, word in [(False, "up"), (True, "down")]:
        result = torch.sort(x, dim=axis, descending=descending, stable=True)
        plain[f"sort.{axis}.{word}.values"], plain[f"sort.{axis}.{word}.indices"] = result
    plain[f"argmax.{axis}"] = torch.tensor(np.argmax(x.numpy(), axis))  # the first of equals, which torch leaves open
    for largest, word in [(True, "largest"), (False, "smallest")]:
        plain[f"topk.{axis}.{word}"] = torch.topk(x, 2, axis, largest=largest).values
for largest, word in [(True, "largest"), (False, "smallest")]:
    result = torch.topk(plain["distinct"], 3, -1, largest=largest)
    plain[f"distinct.{word}.values"], plain[f"distinct.{word}.indices"] = result
for word, function in [("equal", torch.eq), ("not_equal", torch.ne), ("less", torch.lt), ("less_equal", torch.le),
                       ("greater", torch.gt), ("greater_equal", torch.ge)]:
    plain[word] = function(x, row)

tensors |= {f"plain/{name}": value.to(torch.uint8) if value.dtype == torch.bool else value for name, value in plain.items()}
path = pathlib.Path(__file__).with_name("ops.safetensors")
save_file({name: tensor.detach().contiguous().clone() for name, tensor in tensors.items()}, path)
print(f"{path.name}: {len(tensors)} tensors, {path.stat().st_size} bytes")
