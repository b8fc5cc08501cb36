// Post-training quantization: the Linear layers of a trained module multiply integers of one byte, for inference
// (autograd/ops/quantized_linear.cpp).
//
// One scale for a whole row of x is too coarse where a few of its channels are a hundred times as large as the others, as
// in a large vision transformer: the others round to 0. SmoothQuant (Xiao et al., ICML 2023) moves that factor into the
// weight, whose rows then hold it in one column each and have scales of their own:
//   s_j = (max |x_j|)^alpha / (max_o |W_oj|)^(1 - alpha),   x W^T = (x / s) (W s)^T
#pragma once

#include <functional>

#include "nn/layers.h"

namespace nabla {

// Quantises every Linear in `module`. run() sends representative inputs through it; layers that it does not reach, and
// all without a run(), are quantised as they are. Throws Error where a layer's input is not finite or a layer is int8 already;
// then nothing has changed.
void quantize(Module& module, const std::function<void()>& run = {}, double alpha = 0.5);

// The scales s (I) of a weight (O, I) whose input channels reach `largest` (I), both f32; 1 for a channel of zeros.
Tensor smoothing_scales(const Tensor& weight, const Tensor& largest, double alpha);

}  // namespace nabla
