#include "backends/cpu/product.h"

#include <algorithm>

namespace nabla {

namespace {

// [0, count) in ranges of `size`, the last one shorter.
std::vector<Range> ranges(int64_t count, int64_t size) {
  std::vector<Range> result;
  for (int64_t first = 0; first < count; first += size) {
    result.push_back({first, std::min(size, count - first)});
  }
  return result;
}

// At least `least`, for no more than `most_pieces` pieces with `work` multiplications per unit to be worth
// the start of each; a multiple of `step`.
int64_t piece_size(int64_t count, int64_t least, int64_t work, int64_t step) {
  constexpr int64_t most_pieces = 64, least_work = 1 << 18;
  const int64_t size =
      std::max({least, pieces_of(count, most_pieces), least_work / std::max<int64_t>(work, 1)});
  return std::min(pieces_of(size, step) * step, std::max<int64_t>(count, 1));
}

}  // namespace

Product describe(const Tensor& a, bool a_transposed, const Tensor& b, bool b_transposed, const Tensor& out) {
  Product p{out.size(0),  out.size(1),  out.size(2),    a.size(a_transposed ? 1 : 2),
            a_transposed, b_transposed, a.size(0) == 1, b.size(0) == 1};
  if (p.b_shared && !p.a_transposed && a.size(0) == p.batch) {  // one tall product
    p.m *= p.batch;
    p.batch = 1;
  }
  return p;
}

// Each piece brings its part of b into the order that it multiplies in, at a cost of one such element per
// row: below 96 rows that shows. Columns are cut for products whose rows alone are too few: weight gradients,
// single tokens.
ProductPieces::ProductPieces(const Product& p, bool whole_columns, bool split_terms) : parts(1) {
  constexpr int64_t least_rows = 96, least_columns = 384, least_terms = 2048, enough = 16;
  const int64_t batch = piece_size(p.batch, 1, p.m * p.n * p.k, 1);
  const int64_t rows = piece_size(p.m, least_rows, batch * p.n * p.k, 48);
  const bool cut_columns = !whole_columns && (p.a_transposed || p.m <= least_rows);
  const int64_t columns = cut_columns ? piece_size(p.n, least_columns, batch * rows * p.k, 48) : p.n;
  const int64_t blocks = pieces_of(p.batch, batch) * pieces_of(p.m, rows) * pieces_of(p.n, columns);
  if (split_terms && !whole_columns && blocks < enough) {
    parts = std::max<int64_t>(1, std::min(p.k / least_terms, pieces_of(enough, blocks)));
  }
  const std::vector<Range> terms = ranges(p.k, pieces_of(p.k, parts));
  parts = static_cast<int64_t>(terms.size());
  for (const Range& b : ranges(p.batch, batch)) {
    for (const Range& r : ranges(p.m, rows)) {
      for (const Range& c : ranges(p.n, columns)) {
        for (const Range& t : terms) list.push_back({b, r, c, t});
      }
    }
  }
}

}  // namespace nabla
