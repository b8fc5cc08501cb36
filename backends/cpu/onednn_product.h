// Products of f32 and bf16 by oneDNN's matmul, epilogue included.
#pragma once

#include "backends/cpu/onednn.h"
#include "backends/cpu/product.h"
#include "tensor/kernel_args.h"

namespace nabla {

// Whether b is copied into the order that the product likes best before. That pays where it has many rows of
// a to work for; a frozen b is copied once.
bool packs(const Product& product, bool frozen_b);

// How oneDNN calls the whole of b.
onednn::Layout layout_of_b(const Product& product, Dtype dtype);

// out = residual + column_scale * act(op(a) op(b) + bias). False where this processor has no kernel for the
// dtype.
bool onednn_product(const Product& product, const Tensor& a, const Tensor& b, const Tensor& out,
                    const Epilogue& epilogue, bool frozen_b);

}  // namespace nabla
