// What becomes of a product's sums, some columns of a row at a time and in registers all the way:
//   out = residual + column_scale * act(x)
// Stored in between, a line would be in the way of the loads that the next sums wait for.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <limits>
#include <type_traits>
#include <vector>

#include "backends/common/convert.h"
#include "backends/cpu/fast_gelu.h"
#include "backends/cpu/product.h"
#include "tensor/kernel_args.h"
#include "tensor/tensor.h"

namespace nabla {

// A product's columns are stored a panel at a time, and in each row a Line at a time.
inline constexpr int64_t output_columns = 64, line_columns = line_vectors * float_lanes;
static_assert(output_columns % line_columns == 0);
using Line = FloatVector[line_vectors];

// x (n) in f32, filled up with zeros to whole panels; nothing for nothing.
inline std::vector<float> whole_panels(const Tensor& x, int64_t n) {
  if (!x.defined()) return {};
  std::vector<float> filled(static_cast<size_t>(pieces_of(n, output_columns) * output_columns));
  const Tensor wide = x.to(Dtype::f32);
  std::copy_n(wide.data<float>(), n, filled.data());
  return filled;
}

// Where vector i of a line begins that lies in `rows` rows of a matrix, one below the other and `stride` apart.
template <int64_t rows>
constexpr int64_t place_in_line(int64_t i, int64_t stride) {
  constexpr int64_t across = line_vectors / rows;
  return i / across * stride + i % across * float_lanes;
}

// A vector at a time: as one copy, a compiler moves a line in smaller pieces, and what reads a vector of them waits until they
// are in the cache.
template <int64_t rows = 1>
inline void load_line(const float* from, Line& line, int64_t stride = 0) {
#pragma GCC unroll 4
  for (int64_t i = 0; i < line_vectors; ++i)
    memcpy(&line[i], from + place_in_line<rows>(i, stride), sizeof line[i]);
}
template <int64_t rows = 1>
inline void load_line(const BFloat16* from, Line& line, int64_t stride = 0) {
  using Halves [[gnu::vector_size(2 * float_lanes)]] = uint16_t;
  using Words [[gnu::vector_size(4 * float_lanes)]] = uint32_t;
#pragma GCC unroll 4
  for (int64_t i = 0; i < line_vectors; ++i) {
    Halves halves;
    memcpy(&halves, from + place_in_line<rows>(i, stride), sizeof halves);
    line[i] = reinterpret_cast<FloatVector>(__builtin_convertvector(halves, Words) << 16);
  }
}

// Where the result is bf16, what is less than its normal numbers is 0: the instruction that rounds them has it so.
inline void store_rounded(float x, float* to) { *to = x; }
inline void store_rounded(float x, BFloat16* to) {
  store(*to, std::fabs(x) < std::numeric_limits<float>::min() ? std::copysign(0.0f, x) : x);
}

template <int64_t rows = 1>
inline void store_line(const Line& line, float* to, int64_t stride = 0) {
#pragma GCC unroll 4
  for (int64_t i = 0; i < line_vectors; ++i)
    memcpy(to + place_in_line<rows>(i, stride), &line[i], sizeof line[i]);
}
template <int64_t rows = 1>
inline void store_line(const Line& line, BFloat16* to, int64_t stride = 0) {
#pragma GCC unroll 4
  for (int64_t i = 0; i < line_vectors; ++i) {
#ifdef __AVX512BF16__
    const __m256bh narrow = _mm512_cvtneps_pbh(line[i]);
#else
    const auto narrow = rounded_to_bf16(line[i]);
#endif
    memcpy(static_cast<void*>(to + place_in_line<rows>(i, stride)), &narrow, sizeof narrow);
  }
}

// The epilogue of a product (m, n) but for the bias, which the sums have already. Always inlined: int8's may not fuse the
// operations written here, others may.
template <class Out, class Fit>
struct OutputLine {
  std::vector<float> column_scale;  // empty for none
  Tensor kept;                      // what residual points into
  const Out* residual = nullptr;    // (m, n), or null
  bool gelu = false;
  int64_t n = 0;
  Out* out = nullptr;

  OutputLine(const Epilogue& epilogue, int64_t n, const Tensor& out)
      : column_scale(whole_panels(epilogue.column_scale, n)),
        kept(epilogue.residual.defined() ? epilogue.residual.to(out.dtype()) : Tensor()),
        residual(kept.defined() ? kept.data<Out>() : nullptr),
        gelu(epilogue.activation == Epilogue::Activation::gelu),
        n(n),
        out(out.data<Out>()) {}

  // Stores x at (row, column): as much of it as there are columns. Its parts are of `rows` rows, `stride` elements apart: n, or
  // 0 for one row, which each part is.
  template <int64_t rows = 1>
  [[gnu::always_inline]] void put(Line& x, int64_t row, int64_t column, int64_t stride = 0) const {
    if (gelu) fast_gelu<Fit>(x);
    if (!column_scale.empty()) {
      Line factors;
      load_line<rows>(&column_scale[static_cast<size_t>(column)], factors);
#pragma GCC unroll 4
      for (int64_t i = 0; i < line_vectors; ++i) x[i] *= factors[i];
    }
    const int64_t start = row * n + column, columns = n - column;
    if (columns < line_columns / rows)
      return put_columns<rows>(x, start, std::max(columns, int64_t{0}), stride);
    if (residual != nullptr) {
      Line more;
      load_line<rows>(residual + start, more, stride);
#pragma GCC unroll 4
      for (int64_t i = 0; i < line_vectors; ++i) x[i] += more[i];
    }
    store_line<rows>(x, out + start, stride);
  }

 private:
  template <int64_t rows>
  [[gnu::noinline]] void put_columns(Line& x, int64_t start, int64_t columns, int64_t stride) const {
    float numbers[rows][line_columns / rows];
    memcpy(numbers, &x, sizeof numbers);
    // All is read before any is stored: out may be the residual, and the rows may be one.
    for (int64_t r = 0; r < rows && residual != nullptr; ++r) {
      for (int64_t j = 0; j < columns; ++j)
        numbers[r][j] += static_cast<float>(residual[start + r * stride + j]);
    }
    for (int64_t r = 0; r < rows; ++r) {
      for (int64_t j = 0; j < columns; ++j) store_rounded(numbers[r][j], out + start + r * stride + j);
    }
  }
};

}  // namespace nabla
