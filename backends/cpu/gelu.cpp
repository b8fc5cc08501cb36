#include "backends/cpu/gelu.h"

#include <algorithm>
#include <cstring>

#include "backends/cpu/output_line.h"
#include "backends/cpu/register_product.h"
#include "tensor/threads.h"

namespace nabla {

namespace {

// As many columns of a line as there are; the others are 0.
void load_columns(const BFloat16* from, int64_t columns, Line& line) {
  if (columns == line_columns) return load_line(from, line);
  BFloat16 filled[line_columns] = {};
  std::copy_n(from, columns, filled);
  load_line(filled, line);
}

void store_columns(const Line& line, int64_t columns, BFloat16* to) {
  float numbers[line_columns];
  memcpy(numbers, &line, sizeof numbers);
  for (int64_t j = 0; j < columns; ++j) store_rounded(numbers[j], to + j);
}

// Calls on_line(line, the index of its first element, how many there are) for each line of x (n), and stores what becomes of it
// in y.
template <class OnLine>
void map_lines(const BFloat16* x, int64_t n, BFloat16* y, const OnLine& on_line) {
  const auto map = [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; i += line_columns) {
      const int64_t count = std::min(line_columns, end - i);
      Line line;
      load_columns(x + i, count, line);
      on_line(line, i, count);
      if (count == line_columns)
        store_line(line, y + i);
      else
        store_columns(line, count, y + i);
    }
  };
  parallel_for(n, parallel_grain, map, line_columns);
}

}  // namespace

bool has_fast_gelu(Dtype dtype) { return has_multiply_add && dtype == Dtype::bf16; }

void fast_gelu_forward(const Tensor& x, const Tensor& y) {
  map_lines(x.data<BFloat16>(), x.numel(), y.data<BFloat16>(),
            [](Line& line, int64_t, int64_t) { fast_gelu<ShortGeluFit>(line); });
}

void fast_gelu_backward(const Tensor& dy, const Tensor& x, const Tensor& dx) {
  const auto* const gradient = dy.data<BFloat16>();
  map_lines(x.data<BFloat16>(), x.numel(), dx.data<BFloat16>(),
            [=](Line& line, int64_t first, int64_t count) {
              Line outer;
              load_columns(gradient + first, count, outer);
              fast_gelu_slope(line);
#pragma GCC unroll 4
              for (int64_t i = 0; i < line_vectors; ++i) line[i] *= outer[i];
            });
}

}  // namespace nabla
