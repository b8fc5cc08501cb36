// Order of a packed b (k, n): panels of 64 columns, in each of them strips of as many columns as one call of
// register_product() takes, in each of those line after line (k), in each line column after column; of bf16 two lines, side
// by side in each column, are one. Missing columns of the last panel are zeros. A panel, up to 0.8 MB, stays in the
// second-level cache while all rows of a pass by. Where there is AMX, a panel of bf16 is in the order of amx_matmul.h.
#include "backends/cpu/packed_product.h"

#include <algorithm>
#include <type_traits>
#include <vector>

#include "backends/cpu/amx_matmul.h"
#include "backends/cpu/fast_gelu.h"
#include "backends/cpu/onednn.h"
#include "backends/cpu/pack_strip.h"
#include "backends/cpu/register_product.h"
#include "tensor/threads.h"

namespace nabla {

namespace {

constexpr int64_t panel_columns = 64;
static_assert(panel_columns % pack_columns == 0);

int64_t panels_of(int64_t n) { return (n + panel_columns - 1) / panel_columns; }

template <class E>
void pack_as(const E* b, bool transposed, int64_t k, int64_t n, E* packed) {
  parallel_for(panels_of(n) * (panel_columns / pack_columns), 1, [&](int64_t begin, int64_t end) {
    for (int64_t strip = begin; strip < end; ++strip) {
      const int64_t first = strip * pack_columns;
      const int64_t columns = std::clamp(n - first, int64_t{0}, pack_columns);
      if (transposed)
        pack_transposed_strip(b + first * k, k, k, columns, packed + first * k);
      else
        pack_strips(b + first, n, k, columns, 0, packed + first * k);
    }
  });
}

// The epilogue, for tiles of so many rows, but for the bias, with which sums in registers begin. Its vectors are of f32 and filled up to whole
// panels, so that all loops over a tile are of a fixed length: GELU over a whole tile at once takes half the
// time of one line after the other.
template <class Out, int64_t rows = register_rows>
struct Finish {
  using Tile = float[rows * panel_columns];  // the sums

  const float *bias = nullptr, *scale = nullptr;
  const Out* residual = nullptr;  // (m, n)
  bool gelu = false;

  // Of sums that did not begin with it.
  void add_bias(Tile& sums, int64_t first) const {
    if (bias == nullptr) return;
    for (int64_t i = 0; i < rows; ++i) {
      for (int64_t j = 0; j < panel_columns; ++j) sums[i * panel_columns + j] += bias[first + j];
    }
  }

  // What comes between bias and residual, for a tile that begins at column `first`.
  void apply(Tile& sums, int64_t first) const {
    if (gelu) fast_gelu<std::conditional_t<std::is_same_v<Out, float>, GeluFit, ShortGeluFit>>(sums);
    if (scale == nullptr) return;
    for (int64_t i = 0; i < rows; ++i) {
      for (int64_t j = 0; j < panel_columns; ++j) sums[i * panel_columns + j] *= scale[first + j];
    }
  }

  // The lines [begin, end) of a tile that begins at (row, first) of out (m, n).
  void store_lines(const Tile& sums, int64_t begin, int64_t end, int64_t row, int64_t first, int64_t n,
                   Out* out) const {
    const int64_t columns = std::min(panel_columns, n - first);
    for (int64_t r = begin; r < end; ++r) {
      const float* const line = sums + r * panel_columns;
      if (columns == panel_columns)
        store_line<true>(line, (row + r) * n + first, columns, out);
      else
        store_line<false>(line, (row + r) * n + first, columns, out);
    }
  }

 private:
  // out[j] = sums[j] (+ residual[j]) for `count` elements that begin at `start`.
  template <bool whole_line>
  void store_line(const float* sums, int64_t start, int64_t count, Out* out) const {
    if (whole_line) count = panel_columns;
    float line[panel_columns];
    std::copy_n(sums, count, line);
    if (residual != nullptr) {
      for (int64_t j = 0; j < count; ++j) line[j] += static_cast<float>(residual[start + j]);
    }
    if constexpr (whole_line && std::is_same_v<Out, BFloat16>) {
      for (int64_t j = 0; j < panel_columns; j += register_lanes) register_narrow(line + j, out + start + j);
    } else {
      for (int64_t j = 0; j < count; ++j) out[start + j] = static_cast<Out>(line[j]);
    }
  }
};

// Asks for the tile of a matrix with rows of n that begins at `first`: it is there when the product is done, to be read or,
// which gains 2 to 3 percent where the depth is 384, to be written.
template <class Out>
void prefetch_tile(const Out* first, int64_t n) {
  constexpr int64_t line = 64 / sizeof(Out);
  for (int64_t i = 0; i < register_rows; ++i) {
    for (int64_t j = 0; j < panel_columns; j += line) __builtin_prefetch(first + i * n + j);
  }
}

// Tiles [begin, end) of one panel, at most `most_tiles`. A depth of more than `most_depth` is taken in parts,
// for all these tiles one part after the other, so that a part of the panel, 0.26 MB, and the tiles' sums,
// 0.2 MB, stay in the second-level cache: (3156, 3072) x (3072, 768) gains 10 percent over whole depths.
constexpr int64_t most_tiles = 128, most_depth = 1024;

template <class E, class Out>
void tiles_of_panel(const E* a, int64_t m, int64_t k, int64_t n, const E* packed, int64_t panel,
                    int64_t begin, int64_t end, const Finish<Out>& finish, typename Finish<Out>::Tile* sums,
                    Out* out) {
  const int64_t first = panel * panel_columns;
  for (int64_t depth = 0; depth < k; depth += most_depth) {
    const int64_t part = std::min(most_depth, k - depth);
    const bool last = depth + part == k;
    for (int64_t tile = begin; tile < end; ++tile) {
      auto& sum = sums[tile - begin];
      const int64_t row = tile * register_rows;
      const int64_t top = std::min(row, m - register_rows);  // the last tile begins among rows done before
      if (last) prefetch_tile(out + top * n + first, n);
      if (last && finish.residual != nullptr) prefetch_tile(finish.residual + top * n + first, n);
      const float* bias = finish.bias == nullptr ? nullptr : finish.bias + first;
      const float* const start = depth > 0 ? sum : bias;
      for (int64_t c = 0; c < panel_columns; c += pack_columns) {
        register_product(a + top * k + depth, k, packed + (first + c) * k + depth * pack_columns, part,
                         sum + c, panel_columns, start == nullptr ? nullptr : start + c,
                         depth > 0 ? panel_columns : 0);
      }
      if (!last) continue;
      finish.apply(sum, first);
      finish.store_lines(sum, row - top, register_rows, top, first, n, out);
    }
  }
}

template <class E, class Out>
void product_of(const E* a, int64_t m, int64_t k, int64_t n, const E* packed, const Finish<Out>& finish,
                Out* out) {
  using Tile = typename Finish<Out>::Tile;
  const int64_t tiles = (m + register_rows - 1) / register_rows;
  // Each panel in equal parts, some 16 for each thread in all, but none of less than some 30 us.
  const int64_t wanted = panels_of(n) * tiles / (16 * num_threads());
  const int64_t most = std::clamp(wanted, int64_t{16}, most_tiles), parts = (tiles + most - 1) / most;
  const int64_t part = (tiles + parts - 1) / parts;
  parallel_tasks(panels_of(n) * parts, [&](int64_t task) {
    const Storage room(sizeof(Tile) * static_cast<size_t>(part), Device::cpu());
    const int64_t begin = task % parts * part, end = std::min(begin + part, tiles);
    tiles_of_panel(a, m, k, n, packed, task / parts, begin, end, finish, static_cast<Tile*>(room.data()),
                   out);
  });
}

#ifdef __AVX512BF16__
void pack_tiles(const BFloat16* b, bool transposed, int64_t k, int64_t n, char* packed) {
  static_assert(panel_columns == amx_columns);
  parallel_for(panels_of(n), 1, [&](int64_t begin, int64_t end) {
    for (int64_t first = begin * panel_columns; first < end * panel_columns; first += amx_rows) {
      const int64_t columns = std::clamp(n - first, int64_t{0}, amx_rows);
      char* const to = packed + first / amx_rows * (amx_panel_bytes<BFloat16>(k) / 2);
      if (transposed)
        amx_pack_columns(b + first * k, k, columns, k, to);
      else
        amx_pack_lines(b + first, n, columns, k, to);
    }
  });
}

template <class Out>
void product_of_tiles(const BFloat16* a, int64_t m, int64_t k, int64_t n, const void* packed,
                      const Finish<Out, amx_rows>& finish, Out* out) {
  const auto left = [=](int64_t tile, int64_t step, int64_t steps, void* room) {
    const int64_t row = tile * amx_rows, first = step * amx_depth<BFloat16>;
    amx_pack_rows(a + row * k + first, k, std::min(amx_rows, m - row),
                  std::min(steps * amx_depth<BFloat16>, k - first), room);
    return room;
  };
  amx_matmul<BFloat16>(m, n, k, packed, left, [&](float* sums, int64_t tile, int64_t panel) {
    auto& all = *reinterpret_cast<typename Finish<Out, amx_rows>::Tile*>(sums);
    const int64_t row = tile * amx_rows, first = panel * panel_columns;
    finish.add_bias(all, first);
    finish.apply(all, first);
    finish.store_lines(all, 0, std::min(amx_rows, m - row), row, first, n, out);
  });
}
#endif

// x (n) in f32 and filled up to whole panels; nothing for nothing.
std::vector<float> whole_panels(const Tensor& x, int64_t n) {
  if (!x.defined()) return {};
  std::vector<float> filled(static_cast<size_t>(panels_of(n) * panel_columns));
  const Tensor wide = x.to(Dtype::f32);
  std::copy_n(wide.data<float>(), n, filled.data());
  return filled;
}

template <class E, class Out>
void multiply(const Tensor& a, int64_t m, int64_t k, int64_t n, const void* packed, const Tensor& out,
              const Epilogue& epilogue) {
  const std::vector<float> bias = whole_panels(epilogue.bias, n),
                           scale = whole_panels(epilogue.column_scale, n);
  const Tensor residual = epilogue.residual.defined() ? epilogue.residual.to(out.dtype()) : Tensor();
  const auto finish = [&]<int64_t rows>() {
    return Finish<Out, rows>{bias.empty() ? nullptr : bias.data(), scale.empty() ? nullptr : scale.data(),
                             residual.defined() ? residual.data<Out>() : nullptr,
                             epilogue.activation == Epilogue::Activation::gelu};
  };
#ifdef __AVX512BF16__
  if constexpr (std::is_same_v<E, BFloat16>) {
    if (has_amx())
      return product_of_tiles(a.data<E>(), m, k, n, packed, finish.template operator()<amx_rows>(),
                              out.data<Out>());
  }
#endif
  product_of(a.data<E>(), m, k, n, static_cast<const E*>(packed), finish.template operator()<register_rows>(),
             out.data<Out>());
}

}  // namespace

bool has_packed_product(Dtype dtype, int64_t m, int64_t k) {
  if (m < register_rows) return false;
  if (dtype == Dtype::bf16) {
    static const bool onednn_has_amx = onednn::multiplies_tiles();
    return has_amx() || (has_register_product<BFloat16> && !onednn_has_amx && k % 2 == 0);
  }
  return dtype == Dtype::f32 && has_register_product<float>;
}

size_t packed_bytes(Dtype dtype, int64_t k, int64_t n) {
#ifdef __AVX512BF16__
  if (dtype == Dtype::bf16 && has_amx())
    return static_cast<size_t>(panels_of(n) * amx_panel_bytes<BFloat16>(k));
#endif
  return static_cast<size_t>(panels_of(n) * panel_columns * k) * size_of(dtype);
}

void pack(const Tensor& b, bool transposed, int64_t k, int64_t n, void* packed) {
#ifdef __AVX512BF16__
  if (b.dtype() == Dtype::bf16 && has_amx())
    return pack_tiles(b.data<BFloat16>(), transposed, k, n, static_cast<char*>(packed));
#endif
  if (b.dtype() == Dtype::bf16)
    pack_as(b.data<BFloat16>(), transposed, k, n, static_cast<BFloat16*>(packed));
  else
    pack_as(b.data<float>(), transposed, k, n, static_cast<float*>(packed));
}

void packed_product(const Tensor& a, int64_t m, int64_t k, int64_t n, const void* packed, const Tensor& out,
                    const Epilogue& epilogue) {
  if constexpr (has_register_product<float>) {
    if (a.dtype() == Dtype::f32) return multiply<float, float>(a, m, k, n, packed, out, epilogue);
  }
  if constexpr (has_register_product<BFloat16>) {
    if (out.dtype() == Dtype::f32) return multiply<BFloat16, float>(a, m, k, n, packed, out, epilogue);
    return multiply<BFloat16, BFloat16>(a, m, k, n, packed, out, epilogue);
  }
  fail("packed_product: this processor has none for {}", a.dtype());
}

}  // namespace nabla
