// What a matrix product is, and the pieces into which it is cut: by its shape alone, never by the number of
// threads, so that no result depends on that.
#pragma once

#include <cstdint>
#include <vector>

#include "tensor/tensor.h"

namespace nabla {

// How many pieces of `size`, the last one shorter, `count` makes.
inline int64_t pieces_of(int64_t count, int64_t size) { return (count + size - 1) / size; }

// op(a) (batch, m, k) op(b) (batch, k, n).
struct Product {
  int64_t batch, m, n, k;
  bool a_transposed, b_transposed;
  bool a_shared, b_shared;  // one matrix for the whole batch
};

// A batched product with one shared b is described as one tall product.
Product describe(const Tensor& a, bool a_transposed, const Tensor& b, bool b_transposed, const Tensor& out);

struct Range {
  int64_t first, count;
  bool operator==(const Range&) const = default;
};

// A block of the output, and the terms of its sums: all k of them, or a part.
struct ProductPiece {
  Range batch, rows, columns, terms;
};

// The pieces of a product, those of one block of the output in the order in which their sums are added.
struct ProductPieces {
  std::vector<ProductPiece> list;
  int64_t parts;  // of k: how many pieces a block of the output has

  // whole_columns: no piece is narrower than b, which has been brought into a special order. split_terms:
  // where the output is too small for many blocks, k is cut too.
  ProductPieces(const Product& product, bool whole_columns, bool split_terms);
};

}  // namespace nabla
