"""Every op of the tape. Formulas, shapes and derivatives stand in autograd/ops/; each takes and returns `Variable`s."""

from ._dinomaly import (
    abs, add, affine, attention, cast, cat, clamp, conv2d, cosine_similarity, cross_entropy, div, dropout, elu, exp,
    expand, gelu, interpolate, layer_norm, linear, linear_attention, log, log_softmax, matmul, max, maximum, mean, mlp,
    mul, neg, packed_attention, packed_linear_attention, permute, pow, quantized_linear, relu, reshape, rope, rsqrt,
    sigmoid, silu, slice, softmax, sqrt, stack, sub, sum, tanh, transpose, where,
)  # fmt: skip

__all__ = [name for name in dir() if not name.startswith("_")]
