// From the sums of a product of integers to what is stored: out = residual + column_scale * act(sum * scale + bias).
// One order of operations, each rounded once, whatever the processor: compiled without fusing others than are written here
// (CMakeLists.txt), every level gives the same bits.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <type_traits>
#include <vector>

#include "backends/common/convert.h"
#include "backends/cpu/fast_gelu.h"
#include "backends/cpu/integer_product.h"
#include "backends/cpu/product.h"
#include "backends/cpu/register_product.h"
#include "tensor/kernel_args.h"
#include "tensor/tensor.h"

namespace nabla {

// x (n) in f32, zeros for nothing, filled up with zeros to whole tiles: loops over a tile are of a fixed length.
inline std::vector<float> whole_tiles(const Tensor& x, int64_t n, int64_t of_a_tile) {
  std::vector<float> filled(static_cast<size_t>(pieces_of(n, of_a_tile) * of_a_tile));
  if (!x.defined()) return filled;
  const Tensor wide = x.to(Dtype::f32);
  std::copy_n(wide.data<float>(), n, filled.data());
  return filled;
}

// From integers to what is stored. Its vectors are filled up to whole tiles.
template <class Out>
struct IntegerEpilogue {
  std::vector<float> row_scale, scale, bias, column_scale;  // the last is empty for none
  bool gelu;
  Tensor residual;  // (m, n) of Out, or undefined
  int64_t m, n;

  IntegerEpilogue(const Tensor& out, const Tensor& b_scale, const Epilogue& epilogue)
      : row_scale(static_cast<size_t>(pieces_of(out.size(0), tile_rows) * tile_rows)),
        scale(whole_tiles(b_scale, out.size(1), tile_columns)),
        bias(whole_tiles(epilogue.bias, out.size(1), tile_columns)),
        gelu(epilogue.activation == Epilogue::Activation::gelu),
        residual(epilogue.residual.defined() ? epilogue.residual.to(out.dtype()) : Tensor()),
        m(out.size(0)),
        n(out.size(1)) {
    if (epilogue.column_scale.defined()) column_scale = whole_tiles(epilogue.column_scale, n, tile_columns);
  }

  // The tile of `sums`, of at most `most_rows`, that begins at (row, column).
  void store_tile(const int32_t* sums, int64_t most_rows, int64_t row, int64_t column, Out* out) const {
    const int64_t rows = std::min(most_rows, m - row), columns = std::min(tile_columns, n - column);
    for (int64_t r = 0; r < rows; ++r) {
      float line[tile_columns];
      scale_line(sums + r * tile_columns, row + r, column, line);
      if (columns == tile_columns)
        store_line<true>(line, (row + r) * n + column, columns, out);
      else
        store_line<false>(line, (row + r) * n + column, columns, out);
    }
  }

 private:
  // Up to column_scale.
  void scale_line(const int32_t* sums, int64_t row, int64_t column, float (&line)[tile_columns]) const {
    const float of_row = row_scale[static_cast<size_t>(row)];
    const float *const scales = &scale[static_cast<size_t>(column)], *const biases =
                                                                         &bias[static_cast<size_t>(column)];
    for (int64_t c = 0; c < tile_columns; ++c)
      line[c] = fused_multiply_add(static_cast<float>(sums[c]), of_row * scales[c], biases[c]);
    if (gelu) fast_gelu<ShortGeluFit>(line);
    if (column_scale.empty()) return;
    const float* const factors = &column_scale[static_cast<size_t>(column)];
    for (int64_t c = 0; c < tile_columns; ++c) line[c] *= factors[c];
  }

  // out = line + residual for `count` elements that begin at `start`.
  template <bool whole_line>
  void store_line(float* line, int64_t start, int64_t count, Out* out) const {
    if (whole_line) count = tile_columns;
    if (residual.defined()) {
      const Out* const more = residual.data<Out>() + start;
      for (int64_t c = 0; c < count; ++c) line[c] += static_cast<float>(more[c]);
    }
    if constexpr (whole_line && std::is_same_v<Out, BFloat16>) {
      round_line(line, out + start);
    } else {
      for (int64_t c = 0; c < count; ++c) store(out[start + c], normal(line[c]));
    }
  }

  // Where the result is bf16, what is less than its normal numbers is 0: the instruction that rounds them has it so.
  static float normal(float x) {
    if constexpr (std::is_same_v<Out, float>) return x;
    return std::fabs(x) < std::numeric_limits<float>::min() ? std::copysign(0.0f, x) : x;
  }
  static void round_line(const float* line, Out* out) {
#ifdef __AVX512BF16__
    for (int64_t c = 0; c < tile_columns; c += register_lanes) register_narrow(line + c, out + c);
#else
    for (int64_t c = 0; c < tile_columns; ++c) store(out[c], normal(line[c]));
#endif
  }
};

}  // namespace nabla
