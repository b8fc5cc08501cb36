// What linear.cpp and mlp.cpp share.
#pragma once

#include <functional>

#include "autograd/ops/ops.h"

namespace nabla {

// Throws "op: ..." unless x (..., I) fits weight (O, I) and bias (O).
void check_linear(const char* op, const Shape& x, const LinearWeights& layer);
// Throws "op: ..." unless the residual has the output's shape and the scale its width.
void check_residual(const char* op, const Shape& y, const Residual& then);
// residual + scale * activation(x W^T + b) for x (rows, I), in one product; nothing is recorded.
Tensor linear_forward(const Tensor& x_rows, const LinearWeights& layer, Epilogue::Activation activation,
                      const Residual& then);

// The gradients of one layer y = x W^T + b from dy as rows (rows, O), each undefined where nobody wants it.
struct LinearBackward {
  bool need_x, need_weight, need_bias;
  Tensor weight;  // saved if dx is wanted

  LinearBackward(const LinearWeights& layer, bool need_x);
  bool any() const { return need_x || need_weight || need_bias; }
  Tensor dx(const Tensor& dy) const;  // (rows, I)
  // make_x() gives x, whose leading axes are rows.
  Tensor dweight(const Tensor& dy, const std::function<Tensor()>& make_x) const;
  Tensor dbias(const Tensor& dy) const;
};

}  // namespace nabla
