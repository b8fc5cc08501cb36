// Rows as int8, and out = residual + column_scale * act(a b^T + bias) with a quantised here and b before:
//   a (M, K), b i8 (N, K) with scales (N) -> out (M, N)
// Sums are of integers and exact. What follows them is taken in one order, and this file is compiled without fusing
// products with sums (CMakeLists.txt): every processor level and every number of threads gives the same bits.
//
// integer_product.h multiplies tiles. The order in which it reads b is made anew for each product, which takes some 3
// percent of it, so that b stands in memory once, and may be a mapped file; but with few rows, b is read as it is.
#include <algorithm>
#include <vector>

#include "backends/common/convert.h"
#include "backends/common/quantize.h"
#include "backends/cpu/amx_matmul.h"
#include "backends/cpu/fast_gelu.h"
#include "backends/cpu/integer_product.h"
#include "tensor/kernel_args.h"
#include "tensor/tensor.h"
#include "tensor/threads.h"

namespace nabla::cpu {

namespace {

int64_t tiles_in(int64_t size, int64_t of_a_tile) { return (size + of_a_tile - 1) / of_a_tile; }

// The numbers value(i) of a row, i < n, as q, each plus `offset`; returns their scale. `value` is taken as a copy: bytes that
// are written to q could change what a reference refers to, for all that the compiler knows.
template <int32_t offset, class Value, class Q>
float quantize_values(const Value value, int64_t n, Q* __restrict q) {
  int32_t largest = 0;
  for (int64_t i = 0; i < n; ++i) largest = std::max(largest, magnitude_bits(value(i)));
  const auto [scale, inverse] = row_scale(largest);
  for (int64_t i = 0; i < n; ++i) q[i] = static_cast<Q>(quantized(value(i), inverse) + offset);
  return scale;
}

// Row x (n), multiplied by `factors` (n) where there are any.
template <int32_t offset, class T, class Q>
float quantize_row(const T* x, const float* factors, int64_t n, Q* q) {
  if (factors == nullptr)
    return quantize_values<offset>([=](int64_t i) { return static_cast<float>(x[i]); }, n, q);
  return quantize_values<offset>([=](int64_t i) { return static_cast<float>(x[i]) * factors[i]; }, n, q);
}

template <class T>
void quantize_all(const T* x, const float* factors, int64_t rows, int64_t n, int8_t* q, float* scales) {
  parallel_for(rows, row_grain(n), [&](int64_t begin, int64_t end) {
    for (int64_t row = begin; row < end; ++row)
      scales[row] = quantize_row<0>(x + row * n, factors, n, q + row * n);
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

// From integers to what is stored. Its vectors are filled up to whole tiles.
template <class Out>
struct IntegerEpilogue {
  std::vector<float> row_scale, scale, bias, column_scale;  // the last is empty for none
  bool gelu;
  Tensor residual;  // (m, n) of Out, or undefined
  int64_t m, n;

  IntegerEpilogue(const Tensor& out, const Tensor& b_scale, const Epilogue& epilogue)
      : row_scale(static_cast<size_t>(tiles_in(out.size(0), tile_rows) * tile_rows)),
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
      line[c] = static_cast<float>(sums[c]) * (of_row * scales[c]) + biases[c];
    if (gelu) fast_gelu<ShortGeluFit>(line);
    if (column_scale.empty()) return;
    const float* const factors = &column_scale[static_cast<size_t>(column)];
    for (int64_t c = 0; c < tile_columns; ++c) line[c] *= factors[c];
  }

  // out = line + residual for `count` elements that begin at `start`.
  template <bool whole_line>
  void store_line(const float* line, int64_t start, int64_t count, Out* out) const {
    if (whole_line) count = tile_columns;
    if (!residual.defined()) {
      for (int64_t c = 0; c < count; ++c) store(out[start + c], line[c]);
    } else {
      const Out* const more = residual.data<Out>() + start;
      for (int64_t c = 0; c < count; ++c) store(out[start + c], line[c] + static_cast<float>(more[c]));
    }
  }
};

int32_t integer_dot(const int8_t* a, const int8_t* b, int64_t n) {
  int32_t sum = 0;
  for (int64_t i = 0; i < n; ++i) sum += int32_t{a[i]} * int32_t{b[i]};
  return sum;
}

// The product in plain code: b (n, k) is read as it is.
template <class T, class Out>
void plain_product(const T* a, const float* factors, int64_t k, const int8_t* b, IntegerEpilogue<Out>& then,
                   Out* out) {
  const Tensor rows_of_a = Tensor::empty({then.m, k}, Dtype::i8);
  const int8_t* const q = rows_of_a.data<int8_t>();
  quantize_all(a, factors, then.m, k, rows_of_a.data<int8_t>(), then.row_scale.data());
  const int64_t row_tiles = tiles_in(then.m, tile_rows);
  parallel_tasks(row_tiles * tiles_in(then.n, tile_columns), [&](int64_t task) {
    const int64_t row = task % row_tiles * tile_rows, column = task / row_tiles * tile_columns;
    const int64_t rows = std::min(tile_rows, then.m - row), columns = std::min(tile_columns, then.n - column);
    IntegerTile sums = {};
    for (int64_t c = 0; c < columns; ++c) {
      for (int64_t r = 0; r < rows; ++r)
        sums[r * tile_columns + c] = integer_dot(q + (row + r) * k, b + (column + c) * k, k);
    }
    then.store_tile(sums, tile_rows, row, column, out);
  });
}

#if defined(__SSE2__) || defined(__aarch64__)
// The same by integer_product.h.
template <class Words, class T, class Out>
class TiledProduct {
 public:
  TiledProduct(const T* a, const float* factors, int64_t k, const int8_t* b, IntegerEpilogue<Out>& then,
               Out* out)
      : a_(a),
        factors_(factors),
        b_(b),
        k_(k),
        words_(words_for<Words>(k)),
        row_tiles_(tiles_in(then.m, tile_rows)),
        panels_(tiles_in(then.n, tile_columns)),
        then_(then),
        out_(out),
        rows_(words_in(row_tiles_ * tile_rows * words_)),
        packed_(words_in(panels_ * tile_columns * words_)),
        starts_(words_in(panels_ * tile_columns)) {}

  void run() {
    constexpr int64_t few = 8;  // tiles of rows, which are a task
    const int64_t row_tasks = tiles_in(row_tiles_, few);
    parallel_tasks(panels_ + row_tasks, [&](int64_t task) {
      if (task < panels_)
        pack_panel<Words>(b_ + task * tile_columns * k_,
                          std::min(tile_columns, then_.n - task * tile_columns), k_, words_, panel(task),
                          start(task));
      else
        quantize_tiles((task - panels_) * few, std::min((task - panels_ + 1) * few, row_tiles_));
    });
    // Each panel in equal parts, some 16 tasks for each thread in all, but none of less than some 10 us.
    const int64_t wanted = panels_ * row_tiles_ / (16 * num_threads());
    const int64_t parts = tiles_in(row_tiles_, std::max(wanted, int64_t{16})),
                  part = tiles_in(row_tiles_, parts);
    parallel_tasks(panels_ * parts, [&](int64_t task) {
      const int64_t begin = task % parts * part;
      multiply(task / parts, begin, std::min(begin + part, row_tiles_));
    });
  }

 private:
  static Storage words_in(int64_t count) {
    return {sizeof(int32_t) * static_cast<size_t>(count), Device::cpu()};
  }
  int32_t* row_words(int64_t row) { return static_cast<int32_t*>(rows_.data()) + row * words_; }
  int32_t* panel(int64_t number) {
    return static_cast<int32_t*>(packed_.data()) + number * tile_columns * words_;
  }
  int32_t* start(int64_t panel) { return static_cast<int32_t*>(starts_.data()) + panel * tile_columns; }

  // The rows of the tiles [begin, end). What stands in rows that a does not have is not stored, and what is left of a row's
  // last words meets zeros.
  void quantize_tiles(int64_t begin, int64_t end) {
    for (int64_t row = begin * tile_rows; row < std::min(end * tile_rows, then_.m); ++row) {
      auto* const elements = reinterpret_cast<typename Words::A*>(row_words(row));
      then_.row_scale[static_cast<size_t>(row)] =
          quantize_row<Words::offset>(a_ + row * k_, factors_, k_, elements);
    }
  }

  void multiply(int64_t panel_number, int64_t begin, int64_t end) {
    for (int64_t tile = begin; tile < end; ++tile) {
      IntegerTile sums;
      integer_tile<Words>(row_words(tile * tile_rows), panel(panel_number), words_, start(panel_number),
                          sums);
      then_.store_tile(sums, tile_rows, tile * tile_rows, panel_number * tile_columns, out_);
    }
  }

  const T* a_;
  const float* factors_;
  const int8_t* b_;
  int64_t k_, words_, row_tiles_, panels_;
  IntegerEpilogue<Out>& then_;
  Out* out_;
  Storage rows_, packed_, starts_;
};
#endif

#ifdef __AVX512BF16__
// The same by AMX.
template <class T, class Out>
void product_of_tiles(const T* a, const float* factors, int64_t k, const int8_t* b,
                      IntegerEpilogue<Out>& then, Out* out) {
  static_assert(tile_columns == amx_columns);
  const int64_t steps = amx_steps<int8_t>(k), row_tiles = tiles_in(then.m, amx_rows),
                halves = 2 * tiles_in(then.n, tile_columns), half_bytes = steps * amx_step_bytes;
  const Storage rows(static_cast<size_t>(row_tiles * half_bytes), Device::cpu()),
      columns(static_cast<size_t>(halves * half_bytes), Device::cpu());
  auto *const left = static_cast<char*>(rows.data()), *const right = static_cast<char*>(columns.data());
  parallel_tasks(halves + row_tiles, [&](int64_t task) {
    if (task < halves) {
      const int64_t first = task * amx_rows;
      amx_pack_columns(b + first * k, k, std::clamp(then.n - first, int64_t{0}, amx_rows), k,
                       right + task * half_bytes);
    } else {
      const int64_t tile = task - halves, first = tile * amx_rows, count = std::min(amx_rows, then.m - first);
      const Storage quantized(static_cast<size_t>(count * k), Device::cpu());
      auto* const q = static_cast<int8_t*>(quantized.data());
      for (int64_t r = 0; r < count; ++r)
        then.row_scale[static_cast<size_t>(first + r)] =
            quantize_row<0>(a + (first + r) * k, factors, k, q + r * k);
      amx_pack_rows(q, k, count, k, left + tile * half_bytes);
    }
  });
  amx_matmul<int8_t>(
      then.m, then.n, k, right,
      [=](int64_t tile, int64_t step, int64_t, void*) -> const void* {
        return left + tile * half_bytes + step * amx_step_bytes;
      },
      [&](const int32_t* sums, int64_t tile, int64_t panel) {
        then.store_tile(sums, amx_rows, tile * amx_rows, panel * tile_columns, out);
      });
}
#endif

template <class T, class Out>
void multiply_integers(const T* a, const float* factors, int64_t k, const int8_t* b,
                       IntegerEpilogue<Out>& then, Out* out) {
#ifdef __aarch64__
  if (then.m >= tile_rows && multiplies_blocks())
    return TiledProduct<ByteBlocks, T, Out>(a, factors, k, b, then, out).run();
  if (then.m >= tile_rows && multiplies_bytes())
    return TiledProduct<SignedBytes, T, Out>(a, factors, k, b, then, out).run();
#endif
#ifdef __AVX512BF16__
  if (then.m >= tile_rows && has_amx()) return product_of_tiles(a, factors, k, b, then, out);
#endif
#ifdef __AVX2__
  if (then.m >= tile_rows && multiplies_bytes())
    return TiledProduct<BytesInWords, T, Out>(a, factors, k, b, then, out).run();
#endif
#ifdef __SSE2__
  if (then.m >= tile_rows) return TiledProduct<PairsInWords, T, Out>(a, factors, k, b, then, out).run();
#endif
  plain_product(a, factors, k, b, then, out);
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
    quantize_all(x.data<T>(), nullptr, x.size(0), x.size(1), quantized.data<int8_t>(), scale.data<float>());
  });
}

void quantized_matmul(const Tensor& a, const Tensor& input_scale, const Tensor& quantized_b,
                      const Tensor& scale, const Tensor& out, const Epilogue& epilogue) {
  if (out.numel() == 0) return;
  visit_quantizable(out.dtype(), [&]<class Out>(Out) {
    IntegerEpilogue<Out> then(out, scale, epilogue);
    const float* factors = input_scale.defined() ? input_scale.data<float>() : nullptr;
    visit_quantizable(a.dtype(), [&]<class T>(T) {
      multiply_integers(a.data<T>(), factors, a.size(1), quantized_b.data<int8_t>(), then, out.data<Out>());
    });
  });
}

}  // namespace nabla::cpu
