// a^T b of two matrices of many rows: the gradient of a weight, dW = dy^T x, a third of what training multiplies. Both
// matrices lie across the sums, row after row, so a block of each is brought into the order of register_product() where it is
// used, in the second-level cache, instead of as a whole in memory.
#pragma once

#include <cstdint>

#include "tensor/tensor.h"

namespace nabla {

// Whether there is one of (m, n) sums with k terms each, and it is the best choice: as has_packed_product(), and not for few
// terms.
bool has_transposed_product(Dtype dtype, int64_t m, int64_t n, int64_t k);

// out (m, n) = a^T b; a (k, m), b (k, n), out of their dtype or of f32, all contiguous. Cut into pieces by the shape alone: no
// result depends on the number of threads.
void transposed_product(const Tensor& a, const Tensor& b, int64_t m, int64_t n, int64_t k, const Tensor& out);

}  // namespace nabla
