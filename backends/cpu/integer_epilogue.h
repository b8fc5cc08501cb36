// From the sums of a product of integers to what is stored: out = residual + column_scale * act(sum * scale + bias).
// One order of operations, each rounded once, whatever the processor: compiled without fusing others than are written here
// (CMakeLists.txt), every level gives the same bits.
#pragma once

#include <algorithm>
#include <cstdint>
#include <vector>

#include "backends/cpu/integer_product.h"
#include "backends/cpu/output_line.h"
#include "backends/cpu/product.h"
#include "tensor/kernel_args.h"
#include "tensor/tensor.h"

namespace nabla {

template <class Out>
struct IntegerEpilogue {
  std::vector<float> row_scale, scale, bias;  // filled up to whole tiles
  OutputLine<Out, ShortGeluFit> then;
  int64_t m, n;

  IntegerEpilogue(const Tensor& out, const Tensor& b_scale, const Epilogue& epilogue)
      : row_scale(static_cast<size_t>(pieces_of(out.size(0), tile_rows) * tile_rows)),
        scale(whole_panels(b_scale, out.size(1))),
        bias(whole_panels(epilogue.bias, out.size(1))),
        then(epilogue, out.size(1), out),
        m(out.size(0)),
        n(out.size(1)) {
    bias.resize(scale.size());  // zeros for none
  }

  // Up to `most_rows` lines of `sums`, rows of `width`, which begin at (row, column).
  template <int64_t width = tile_columns>
  void store_lines(const int32_t* sums, int64_t most_rows, int64_t row, int64_t column) const {
    static_assert(width % line_columns == 0);
    const int64_t rows = std::min(most_rows, m - row), columns = std::min(width, n - column);
    for (int64_t r = 0; r < rows; ++r) {
      for (int64_t c = 0; c < columns; c += line_columns)
        store_line(sums + r * width + c, row + r, column + c);
    }
  }

 private:
  void store_line(const int32_t* sums, int64_t row, int64_t column) const {
    using Words [[gnu::vector_size(sizeof(FloatVector))]] = int32_t;
    const float of_row = row_scale[static_cast<size_t>(row)];
    Line x;
#pragma GCC unroll 4
    for (int64_t i = 0; i < line_vectors; ++i) {
      Words sum;
      FloatVector scales, biases;
      memcpy(&sum, sums + i * float_lanes, sizeof sum);
      memcpy(&scales, &scale[static_cast<size_t>(column + i * float_lanes)], sizeof scales);
      memcpy(&biases, &bias[static_cast<size_t>(column + i * float_lanes)], sizeof biases);
      x[i] = fused_multiply_add(__builtin_convertvector(sum, FloatVector), of_row * scales, biases);
    }
    then.put(x, row, column);
  }
};

}  // namespace nabla
