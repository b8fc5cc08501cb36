// The convolution of a patch embedding: its patches lie side by side and are as large as the kernel, so it is a product,
//   y (B, O, H', W') = weight (O, C kh kw) patches^T + bias,  patches (H' W', C kh kw) for each image.
#pragma once

#include "tensor/kernel_args.h"
#include "tensor/tensor.h"

namespace nabla {

// Whether patch_product() can compute the convolution, and is the best choice: stride and kernel are the same and more than a
// pixel, no padding, one group, and bf16 by AMX. In f32 oneDNN's convolution takes a sixth less time.
bool has_patch_product(const Tensor& x, const Tensor& weight, const Conv2dArgs& args);

// x (B, C, H, W), weight (O, C, kh, kw), bias (O) or undefined -> y; all bf16 and contiguous.
void patch_product(const Tensor& x, const Tensor& weight, const Tensor& bias, const Tensor& y);

}  // namespace nabla
