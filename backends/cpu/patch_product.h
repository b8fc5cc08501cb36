// The convolution of a patch embedding: its patches lie side by side and are as large as the kernel, so it is a product,
//   y (B, O, H', W') = weight (O, C kh kw) patches^T + bias,  patches (H' W', C kh kw) for each image.
#pragma once

#include "tensor/kernel_args.h"
#include "tensor/tensor.h"

namespace nabla {

// Whether patch_product() can compute the convolution: stride and kernel are the same, no padding, one group, and a dtype
// and a processor for which packed_product.h is the best choice.
bool has_patch_product(const Tensor& x, const Tensor& weight, const Conv2dArgs& args);

// x (B, C, H, W), weight (O, C, kh, kw), bias (O) or undefined -> y; all contiguous, of one dtype.
void patch_product(const Tensor& x, const Tensor& weight, const Tensor& bias, const Tensor& y);

}  // namespace nabla
