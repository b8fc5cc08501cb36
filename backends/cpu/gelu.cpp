#include "backends/cpu/gelu.h"

#include <algorithm>

#include "backends/cpu/output_line.h"
#include "backends/cpu/register_product.h"
#include "tensor/threads.h"

namespace nabla {

namespace {

// Calls on_line(line, the index of its first element) for each line of x (n), and stores what becomes of it in y.
template <class OnLine>
void map_lines(const BFloat16* x, int64_t n, BFloat16* y, const OnLine& on_line) {
  const auto map = [&](int64_t begin, int64_t end) {
    Line line;
    int64_t i = begin;
    for (; i + line_columns <= end; i += line_columns) {
      load_line(x + i, line);
      on_line(line, i, line_columns);
      store_line(line, y + i);
    }
    if (i == end) return;
    BFloat16 rest[line_columns] = {};
    std::copy(x + i, x + end, rest);
    load_line(rest, line);
    on_line(line, i, end - i);
    store_columns(line, end - i, y + i);
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
              if (count == line_columns) {
                load_line(gradient + first, outer);
              } else {
                BFloat16 rest[line_columns] = {};
                std::copy_n(gradient + first, count, rest);
                load_line(rest, outer);
              }
              fast_gelu_slope(line);
#pragma GCC unroll 4
              for (int64_t i = 0; i < gelu_vectors; ++i) line[i] *= outer[i];
            });
}

}  // namespace nabla
