// The layout of a packed projection: qkv (B, N, 3 H d), ordered [q | k | v], each [head][d].
#pragma once

#include "autograd/ops/ops.h"
#include "tensor/tensor.h"

namespace nabla {

struct PackedHeads {
  Tensor q, k, v;  // (B, H, N, d), views
};

// Throws "op: ..." unless qkv is (B, N, 3 H d).
inline void check_packed(const char* op, const Shape& qkv, int64_t heads) {
  check(qkv.rank() == 3 && heads >= 1 && qkv.back() % (3 * heads) == 0,
        "{}: qkv of {} is not (B, N, 3 * {} heads * d)", op, qkv, heads);
}

// (B, N, H d) seen as (B, H, N, d); `packed` is contiguous.
inline Tensor heads_view(const Tensor& packed, int64_t heads) {
  const Shape& shape = packed.shape();
  return packed.reshape({shape[0], shape[1], heads, shape[2] / heads}).transpose(1, 2);
}

// The three parts of a contiguous qkv (B, N, 3 H d).
inline PackedHeads split_heads(const Tensor& qkv, int64_t heads) {
  const Shape& shape = qkv.shape();
  const Tensor parts =
      qkv.reshape({shape[0], shape[1], 3, heads, shape[2] / (3 * heads)}).permute({2, 0, 3, 1, 4});
  return {parts.select(0, 0), parts.select(0, 1), parts.select(0, 2)};
}

// Throws "op: ..." unless the tables fit `tokens` rows of x of `width` elements each; returns them contiguous.
RopeTables rope_tables(const char* op, const RopeTables& tables, const Tensor& x, int64_t tokens,
                       int64_t width);

// The attention kernels take any strides but the last, which must be 1.
inline Tensor with_dense_rows(const Tensor& x) { return x.strides()[-1] == 1 ? x : x.contiguous(); }

}  // namespace nabla
