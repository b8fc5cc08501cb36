// What linear.cpp and mlp.cpp share.
#pragma once

#include "autograd/ops/ops.h"

namespace nabla {

// Throws "op: ..." unless x (..., I) fits weight (O, I) and bias (O).
void check_linear(const char* op, const Shape& x, const LinearWeights& layer);
// Throws "op: ..." unless the residual has the output's shape and the scale its width.
void check_residual(const char* op, const Shape& y, const Residual& then);
// residual + scale * activation(x W^T + b) for x (rows, I), in one product; nothing is recorded.
Tensor linear_forward(const Tensor& x_rows, const LinearWeights& layer, Epilogue::Activation activation,
                      const Residual& then);

}  // namespace nabla
