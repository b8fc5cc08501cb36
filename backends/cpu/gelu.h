// GELU of bf16 as in the epilogue of a product (fast_gelu.h): in training it is an op of its own, and computed for each element,
// with erf and exp, it took as long as a fifth of the products.
#pragma once

#include "tensor/tensor.h"

namespace nabla {

// Whether these are for tensors like x: contiguous, of bf16, on a processor with fused multiply-adds.
bool has_fast_gelu(const Tensor& x);

// y = gelu(x), and dx = dy gelu'(x); all of one shape and contiguous. dx may be dy.
void fast_gelu_forward(const Tensor& x, const Tensor& y);
void fast_gelu_backward(const Tensor& dy, const Tensor& x, const Tensor& dx);

}  // namespace nabla
