// The product of many rows with one matrix: what a transformer spends its time on. The matrix is first copied
// into the order in which register_product() reads it, which a frozen weight is once and for all. The sums of
// a tile, 6 rows by 64 columns, stay in registers over the whole depth, and the epilogue takes the tile from
// the first-level cache. (789, 768) x (768, 3072) on two Zen 5 cores: 525 GFLOP/s in f32 and 1060 in bf16,
// with oneDNN 2.6 470 and 900, of 540 that multiply-adds alone reach in f32.
#pragma once

#include <cstddef>
#include <cstdint>

#include "tensor/kernel_args.h"

namespace nabla {

// Whether packed_product() can multiply (m, k) by (k, n) of `dtype`, and is the best choice: f32 and
// bf16 where register_product() exists for them, and bf16 by AMX (amx.h).
bool has_packed_product(Dtype dtype, int64_t m, int64_t k);

// What a packed (k, n) takes.
size_t packed_bytes(Dtype dtype, int64_t k, int64_t n);
// Copies b (k, n), or, `transposed`, (n, k), into `packed`.
void pack(const Tensor& b, bool transposed, int64_t k, int64_t n, void* packed);

// out = residual + column_scale * act(a b + bias); a (m, k), out (m, n) of a's dtype or of f32. Each row
// depends on its own row of a only, whatever m is and however many threads there are.
void packed_product(const Tensor& a, int64_t m, int64_t k, int64_t n, const void* packed, const Tensor& out,
                    const Epilogue& epilogue);

}  // namespace nabla
