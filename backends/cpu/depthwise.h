// A depthwise convolution, each channel with a filter of its own: the blur of an anomaly map is one. There are so few products for
// each element that another layout would take longer to make than to use.
//   y[b, c, i, j] = bias[c] + sum over u, v of weight[c, 0, u, v] * x[b, c, i + u - padding, j + v - padding]
#pragma once

#include "tensor/kernel_args.h"
#include "tensor/tensor.h"

namespace nabla {

// Whether depthwise() can compute the convolution, and is the best choice: f32, stride 1, a small filter and rows of many
// elements.
bool has_depthwise(const Tensor& x, const Tensor& weight, const Conv2dArgs& args);

// x (B, C, H, W), weight (C, 1, kh, kw), bias (C) or undefined -> y (B, C, H', W'); all contiguous.
void depthwise(const Tensor& x, const Tensor& weight, const Tensor& bias, const Conv2dArgs& args,
               const Tensor& y);

}  // namespace nabla
