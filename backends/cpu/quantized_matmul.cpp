// Rows as int8, and out = residual + column_scale * act(a b^T + bias) with a quantised here and b before:
//   a (M, K), b i8 (N, K) with scales (N) -> out (M, N)
// Sums are of integers and exact. What follows them is taken in one order, and this file is compiled without fusing
// products with sums (CMakeLists.txt): every processor level and every number of threads gives the same bits.
#include <algorithm>
#include <vector>

#include "backends/common/convert.h"
#include "backends/common/parallel.h"
#include "backends/common/quantize.h"
#include "backends/cpu/fast_gelu.h"
#include "tensor/kernel_args.h"
#include "tensor/tensor.h"

namespace nabla::cpu {

namespace {

// Rows and columns of one tile of the output, and its sums.
constexpr int64_t tile_rows = 6, tile_columns = 64;
using IntegerTile = int32_t[tile_rows * tile_columns];

int64_t tiles_in(int64_t size, int64_t of_a_tile) { return (size + of_a_tile - 1) / of_a_tile; }

template <class T>
RowScale scale_of_row(const T* x, int64_t n) {
  int32_t largest = 0;
  for (int64_t i = 0; i < n; ++i) largest = std::max(largest, magnitude_bits(static_cast<float>(x[i])));
  return row_scale(largest);
}

template <class T>
void quantize_all(const T* x, int64_t rows, int64_t n, int8_t* q, float* scales) {
  parallel_for(rows, row_grain(n), [&](int64_t begin, int64_t end) {
    for (int64_t row = begin; row < end; ++row) {
      const auto [scale, inverse] = scale_of_row(x + row * n, n);
      scales[row] = scale;
      for (int64_t i = row * n; i < (row + 1) * n; ++i)
        q[i] = static_cast<int8_t>(quantized(static_cast<float>(x[i]), inverse));
    }
  });
}

// x (n) in f32, zeros for nothing, filled up with zeros to whole tiles: loops over a tile are of a fixed length.
std::vector<float> whole_tiles(const Tensor& x, int64_t n, int64_t of_a_tile) {
  std::vector<float> filled(static_cast<size_t>(tiles_in(n, of_a_tile) * of_a_tile));
  if (!x.defined()) return filled;
  const Tensor wide = x.to(Dtype::f32);
  std::copy_n(wide.data<float>(), n, filled.data());
  return filled;
}

// From integers to what is stored.
template <class Out>
struct IntegerEpilogue {
  std::vector<float> row_scale, scale, bias, column_scale;  // the last is empty for none
  bool gelu;
  Tensor residual;  // (m, n) of Out, or undefined
  int64_t m, n;

  // The tile of `sums` that begins at (row, column).
  void store_tile(const IntegerTile& sums, int64_t row, int64_t column, Out* out) const {
    float values[tile_rows * tile_columns];
    for (int64_t r = 0; r < tile_rows; ++r) {
      const float of_row = row_scale[static_cast<size_t>(row + r)];
      const float *scales = &scale[static_cast<size_t>(column)], *biases = &bias[static_cast<size_t>(column)];
      for (int64_t c = 0; c < tile_columns; ++c) {
        const int64_t i = r * tile_columns + c;
        values[i] = static_cast<float>(sums[i]) * (of_row * scales[c]) + biases[c];
      }
    }
    if (gelu) {
      for (float& value : values) value = fast_gelu(value);
    }
    const int64_t rows = std::min(tile_rows, m - row), columns = std::min(tile_columns, n - column);
    for (int64_t r = 0; r < rows; ++r) {
      float* const line = values + r * tile_columns;
      const int64_t start = (row + r) * n + column;
      if (!column_scale.empty()) {
        const float* const factors = &column_scale[static_cast<size_t>(column)];
        for (int64_t c = 0; c < tile_columns; ++c) line[c] *= factors[c];
      }
      if (residual.defined()) {
        const Out* const more = residual.data<Out>() + start;
        for (int64_t c = 0; c < columns; ++c) line[c] += static_cast<float>(more[c]);
      }
      for (int64_t c = 0; c < columns; ++c) store(out[start + c], line[c]);
    }
  }
};

int32_t integer_dot(const int8_t* a, const int8_t* b, int64_t n) {
  int32_t sum = 0;
  for (int64_t i = 0; i < n; ++i) sum += int32_t{a[i]} * int32_t{b[i]};
  return sum;
}

// The product in plain code: a (m, k) and b (n, k) as they are.
template <class Out>
void plain_product(const int8_t* a, int64_t k, const int8_t* b, const IntegerEpilogue<Out>& epilogue,
                   Out* out) {
  const int64_t row_tiles = tiles_in(epilogue.m, tile_rows);
  parallel_tasks(row_tiles * tiles_in(epilogue.n, tile_columns), [&](int64_t task) {
    const int64_t row = task % row_tiles * tile_rows, column = task / row_tiles * tile_columns;
    const int64_t rows = std::min(tile_rows, epilogue.m - row);
    const int64_t columns = std::min(tile_columns, epilogue.n - column);
    IntegerTile sums = {};
    for (int64_t c = 0; c < columns; ++c) {
      for (int64_t r = 0; r < rows; ++r)
        sums[r * tile_columns + c] = integer_dot(a + (row + r) * k, b + (column + c) * k, k);
    }
    epilogue.store_tile(sums, row, column, out);
  });
}

// Calls function(T{}) for the dtypes of x.
template <class Function>
void visit_quantizable(Dtype dtype, const Function& function) {
  if (dtype == Dtype::bf16) return function(BFloat16{});
  function(float{});
}

}  // namespace

void quantize_rows(const Tensor& x, const Tensor& quantized, const Tensor& scale) {
  visit_quantizable(x.dtype(), [&]<class T>(T) {
    quantize_all(x.data<T>(), x.size(0), x.size(1), quantized.data<int8_t>(), scale.data<float>());
  });
}

void quantized_matmul(const Tensor& a, const Tensor& quantized_b, const Tensor& scale, const Tensor& out,
                      const Epilogue& epilogue) {
  const int64_t m = out.size(0), n = out.size(1), k = a.size(1);
  const Tensor q = Tensor::empty({m, k}, Dtype::i8), scales = Tensor::empty({m});
  quantize_rows(a, q, scales);
  visit_quantizable(out.dtype(), [&]<class Out>(Out) {
    const IntegerEpilogue<Out> then{
        whole_tiles(scales, m, tile_rows),
        whole_tiles(scale, n, tile_columns),
        whole_tiles(epilogue.bias, n, tile_columns),
        epilogue.column_scale.defined() ? whole_tiles(epilogue.column_scale, n, tile_columns)
                                        : std::vector<float>{},
        epilogue.activation == Epilogue::Activation::gelu,
        epilogue.residual.defined() ? epilogue.residual.to(out.dtype()) : Tensor(),
        m,
        n};
    plain_product(q.data<int8_t>(), k, quantized_b.data<int8_t>(), then, out.data<Out>());
  });
}

}  // namespace nabla::cpu
