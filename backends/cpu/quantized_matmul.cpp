// Rows as int8, and out = residual + column_scale * act(a b^T + bias) with a quantised here and b before:
//   a (M, K), b i8 (N, K) with scales (N) -> out (M, N)
// Sums are of integers and exact, and what follows them is the same everywhere (integer_epilogue.h): every processor level
// and every number of threads gives the same bits.
//
// integer_product.h multiplies tiles, strassen_product.h where an instruction takes words of 16 bits, or AMX does
// (amx_matmul.h). The order in which they read b is kept from the second product on (packed_weights.h); with few rows, b is read
// as it is.
#include <algorithm>
#include <vector>

#include "backends/cpu/amx_matmul.h"
#include "backends/cpu/integer_epilogue.h"
#include "backends/cpu/integer_product.h"
#include "backends/cpu/packed_weights.h"
#include "backends/cpu/product.h"
#include "backends/cpu/quantize_row.h"
#include "backends/cpu/strassen_product.h"
#include "tensor/kernel_args.h"
#include "tensor/tensor.h"
#include "tensor/threads.h"

namespace nabla::cpu {

namespace {

template <class T>
void quantize_all(const T* x, const float* factors, int64_t rows, int64_t n, int8_t* q, float* scales) {
  parallel_for(rows, row_grain(n), [&](int64_t begin, int64_t end) {
    std::vector<float> room(static_cast<size_t>(n));
    for (int64_t row = begin; row < end; ++row)
      scales[row] = quantize_row<0>(x + row * n, factors, n, room.data(), q + row * n);
  });
}

int32_t integer_dot(const int8_t* a, const int8_t* b, int64_t n) {
  int32_t sum = 0;
  for (int64_t i = 0; i < n; ++i) sum += int32_t{a[i]} * int32_t{b[i]};
  return sum;
}

// The product in plain code: b (n, k) is read as it is.
template <class T, class Out>
void plain_product(const T* a, const float* factors, int64_t k, const int8_t* b, IntegerEpilogue<Out>& then) {
  const Tensor rows_of_a = Tensor::empty({then.m, k}, Dtype::i8);
  const int8_t* const q = rows_of_a.data<int8_t>();
  quantize_all(a, factors, then.m, k, rows_of_a.data<int8_t>(), then.row_scale.data());
  const int64_t row_tiles = pieces_of(then.m, tile_rows);
  parallel_tasks(row_tiles * pieces_of(then.n, tile_columns), [&](int64_t task) {
    const int64_t row = task % row_tiles * tile_rows, column = task / row_tiles * tile_columns;
    const int64_t rows = std::min(tile_rows, then.m - row), columns = std::min(tile_columns, then.n - column);
    IntegerTile sums = {};
    for (int64_t c = 0; c < columns; ++c) {
      for (int64_t r = 0; r < rows; ++r)
        sums[r * tile_columns + c] = integer_dot(q + (row + r) * k, b + (column + c) * k, k);
    }
    then.store_lines(sums, tile_rows, row, column);
  });
}

#if defined(__AVX2__) || defined(__aarch64__)
// The same by integer_product.h.
template <class Words, class T, class Out>
class TiledProduct {
 public:
  TiledProduct(const T* a, const float* factors, int64_t k, const Tensor& b, IntegerEpilogue<Out>& then)
      : a_(a),
        factors_(factors),
        k_(k),
        words_(words_for<Words>(k)),
        row_tiles_(pieces_of(then.m, tile_rows)),
        panels_(pieces_of(then.n, tile_columns)),
        then_(then),
        rows_(sizeof(int32_t) * static_cast<size_t>(row_tiles_ * tile_rows * words_), Device::cpu()),
        columns_(b, {}, true, static_cast<size_t>(panels_ * panel_words()) * sizeof(int32_t),
                 [&](void* room) { pack_columns(b.data<int8_t>(), static_cast<int32_t*>(room)); }) {}

  void run() {
    constexpr int64_t few = 8;  // tiles of rows, which are a task
    parallel_tasks(pieces_of(row_tiles_, few),
                   [&](int64_t task) { quantize_tiles(task * few, std::min((task + 1) * few, row_tiles_)); });
    // Each panel in equal parts, some 16 tasks for each thread in all, but none of less than some 10 us.
    const int64_t wanted = panels_ * row_tiles_ / (16 * num_threads());
    const int64_t parts = pieces_of(row_tiles_, std::max(wanted, int64_t{16})),
                  part = pieces_of(row_tiles_, parts);
    parallel_tasks(panels_ * parts, [&](int64_t task) {
      const int64_t begin = task / panels_ * part;
      multiply(task % panels_, begin, std::min(begin + part, row_tiles_));
    });
  }

 private:
  int32_t* row_words(int64_t row) { return static_cast<int32_t*>(rows_.data()) + row * words_; }

  // A panel of b, and then what its sums begin with.
  int64_t panel_words() const { return tile_columns * (words_ + 1); }
  const int32_t* panel(int64_t number) const {
    return static_cast<const int32_t*>(columns_.data()) + number * panel_words();
  }
  void pack_columns(const int8_t* b, int32_t* room) const {
    parallel_tasks(panels_, [&](int64_t task) {
      const int64_t first = task * tile_columns;
      int32_t* const to = room + task * panel_words();
      pack_panel<Words>(b + first * k_, std::min(tile_columns, then_.n - first), k_, words_, to,
                        to + tile_columns * words_);
    });
  }

  // The rows of the tiles [begin, end). What stands in rows that a does not have is not stored, and what is left of a row's
  // last words meets zeros.
  void quantize_tiles(int64_t begin, int64_t end) {
    std::vector<float> room(static_cast<size_t>(k_));
    for (int64_t row = begin * tile_rows; row < std::min(end * tile_rows, then_.m); ++row) {
      auto* const elements = reinterpret_cast<typename Words::A*>(row_words(row));
      then_.row_scale[static_cast<size_t>(row)] =
          quantize_row<Words::offset>(a_ + row * k_, factors_, k_, room.data(), elements);
    }
  }

  void multiply(int64_t panel_number, int64_t begin, int64_t end) {
    for (int64_t tile = begin; tile < end; ++tile) {
      IntegerTile sums;
      integer_tile<Words>(row_words(tile * tile_rows), panel(panel_number), words_,
                          panel(panel_number) + tile_columns * words_, sums);
      then_.store_lines(sums, tile_rows, tile * tile_rows, panel_number * tile_columns);
    }
  }

  const T* a_;
  const float* factors_;
  int64_t k_, words_, row_tiles_, panels_;
  IntegerEpilogue<Out>& then_;
  Storage rows_;
  PackedOperand columns_;
};
#endif

#ifdef __AVX512BF16__
// The same by AMX.
template <class T, class Out>
void product_of_tiles(const T* a, const float* factors, int64_t k, const Tensor& b,
                      IntegerEpilogue<Out>& then) {
  static_assert(tile_columns == amx_columns && piece == amx_depth<int8_t>);
  const int64_t half_bytes = amx_steps<int8_t>(k) * amx_step_bytes, row_tiles = pieces_of(then.m, amx_rows),
                halves = 2 * pieces_of(then.n, tile_columns);
  const PackedOperand columns(b, {}, true, static_cast<size_t>(halves * half_bytes), [&](void* room) {
    parallel_tasks(halves, [&](int64_t half) {
      const int64_t first = half * amx_rows;
      amx_pack_columns(b.data<int8_t>() + first * k, k, std::clamp(then.n - first, int64_t{0}, amx_rows), k,
                       static_cast<char*>(room) + half * half_bytes);
    });
  });
  const Storage rows(static_cast<size_t>(row_tiles * half_bytes), Device::cpu());
  auto* const left = static_cast<char*>(rows.data());
  parallel_tasks(row_tiles, [&](int64_t tile) {
    const int64_t first = tile * amx_rows, count = std::min(amx_rows, then.m - first);
    char* const to = left + tile * half_bytes;
    std::vector<float> room(static_cast<size_t>(k));
    if (count < amx_rows || k % piece != 0) std::fill_n(to, half_bytes, char{});
    for (int64_t r = 0; r < count; ++r)
      then.row_scale[static_cast<size_t>(first + r)] =
          quantize_row<0>(a + (first + r) * k, factors, k, room.data(),
                          reinterpret_cast<int8_t*>(to + r * amx_row_bytes), amx_step_bytes);
  });
  amx_matmul<int8_t>(
      then.m, then.n, k, columns.data(),
      [=](int64_t tile, int64_t step, int64_t, void*) -> const void* {
        return left + tile * half_bytes + step * amx_step_bytes;
      },
      [&](const int32_t* sums, int64_t tile, int64_t panel, int64_t begin, int64_t end) {
        then.store_lines(sums + begin * tile_columns, end - begin, tile * amx_rows + begin,
                         panel * tile_columns);
      });
}
#endif

template <class T, class Out>
void multiply_integers(const T* a, const float* factors, int64_t k, const Tensor& b,
                       IntegerEpilogue<Out>& then) {
  if (then.m < tile_rows || k == 0) return plain_product(a, factors, k, b.data<int8_t>(), then);
#ifdef __aarch64__
  if (multiplies_blocks()) return TiledProduct<ByteBlocks, T, Out>(a, factors, k, b, then).run();
  if (multiplies_bytes()) return TiledProduct<SignedBytes, T, Out>(a, factors, k, b, then).run();
#endif
#ifdef __AVX512BF16__
  if (has_amx()) return product_of_tiles(a, factors, k, b, then);
#endif
#ifdef __AVX2__
  if (multiplies_bytes()) return TiledProduct<BytesInWords, T, Out>(a, factors, k, b, then).run();
#endif
#ifdef __SSE2__
  StrassenProduct<T, Out>(a, factors, k, b, then).run();
#else
  plain_product(a, factors, k, b.data<int8_t>(), then);
#endif
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
      multiply_integers(a.data<T>(), factors, a.size(1), quantized_b, then);
    });
  });
}

}  // namespace nabla::cpu
