// GELU of bf16 as in the epilogue of a product (fast_gelu.h): in training it is an op of its own, and computed for each element,
// with erf and exp, it took as long as a fifth of the products. Off by at most 1.4e-5, its derivative by 2e-5: for results near 0
// that is more than bf16 rounds.
#pragma once

#include "tensor/tensor.h"

namespace nabla {

// Whether this processor has them for tensors of `dtype`: for bf16, with fused multiply-adds.
bool has_fast_gelu(Dtype dtype);

// y = gelu(x), and dx = dy gelu'(x); all of one shape, y and dx contiguous. dx may be dy.
void fast_gelu_forward(const Tensor& x, const Tensor& y);
void fast_gelu_backward(const Tensor& dy, const Tensor& x, const Tensor& dx);

}  // namespace nabla
