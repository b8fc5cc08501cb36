// Order of a packed b (k, n): panels of 64 columns, in each of them strips of as many columns as one call of
// register_product() takes, in each of those line after line (k), in each line column after column; of bf16 two lines, side
// by side in each column, are one. Missing columns of the last panel are zeros. A panel, up to 0.8 MB, stays in the
// second-level cache while all rows of a pass by. Where there is AMX, a panel of bf16 is in the order of amx_matmul.h.
#include "backends/cpu/packed_product.h"

#include <algorithm>
#include <type_traits>
#include <vector>

#include "backends/cpu/amx_matmul.h"
#include "backends/cpu/onednn.h"
#include "backends/cpu/output_line.h"
#include "backends/cpu/pack_strip.h"
#include "backends/cpu/register_product.h"
#include "tensor/threads.h"

namespace nabla {

namespace {

constexpr int64_t panel_columns = output_columns;
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

using Tile = float[register_rows * pack_columns];  // sums of one call

// What follows the sums. A result that is rounded to bf16 anyway takes the shorter polynomial for GELU.
template <class Out>
using Finish = OutputLine<Out, std::conditional_t<std::is_same_v<Out, float>, GeluFit, ShortGeluFit>>;

// Where a strip is narrower than a line, a line has parts of so many rows.
constexpr int64_t rows_of_line = std::max(line_columns / pack_columns, int64_t{1}),
                  columns_of_line = line_columns / rows_of_line;
static_assert(register_rows % rows_of_line == 0 && pack_columns % columns_of_line == 0);

// Stores a tile of sums that begins at (row, first), but for its first `skipped` rows.
template <class Out>
void finish_tile(const Tile& sums, int64_t skipped, int64_t row, int64_t first, const Finish<Out>& finish) {
  const auto finish_rows = [&](int64_t r, bool alone) {
    for (int64_t c = 0; c < std::min(pack_columns, finish.n - first); c += columns_of_line) {
      Line x;
      load_line<rows_of_line>(sums + r * pack_columns + c, x, alone ? 0 : pack_columns);
      finish.template put<rows_of_line>(x, row + r, first + c, alone ? 0 : finish.n);
    }
  };
  int64_t r = skipped;
  for (; r % rows_of_line != 0; ++r) finish_rows(r, true);
  for (; r < register_rows; r += rows_of_line) finish_rows(r, false);
}

// Asks for the tile of a matrix with rows of n that begins at `first`: it is there when the product is done, to be read or,
// which gains 2 to 3 percent where the depth is 384, to be written.
template <class Out>
void prefetch_tile(const Out* first, int64_t n) {
  constexpr int64_t line = 64 / sizeof(Out);
  for (int64_t i = 0; i < register_rows; ++i) {
    for (int64_t j = 0; j < pack_columns; j += line) __builtin_prefetch(first + i * n + j);
  }
}

// A depth of more than `most_depth` is taken in parts, for a task's tiles one part after the other, so that a part of a panel,
// 0.26 MB, and the tiles' sums, 0.2 MB, stay in the second-level cache: (3156, 3072) x (3072, 768) gains 10 percent over whole
// depths.
constexpr int64_t most_tiles = 128, most_depth = 1024;
constexpr int64_t sums_of_tile = register_rows * panel_columns;

// So many tiles meet all strips of a panel before the next tiles do: their rows of a, some 128 KB, are read again and again from
// the second-level cache, and a strip (of 16 columns and a depth of 384: 24 KB) from the first-level one. For a whole task's
// rows, 0.6 MB, the one of 512 KB is too small: with a depth of 384 a product takes 2 percent longer.
template <class E>
int64_t near_tiles(int64_t depth) {
  constexpr int64_t near_bytes = 128 << 10;
  return std::max(near_bytes / (register_rows * depth * int64_t{sizeof(E)}), int64_t{4});
}

// The product of one panel and the tiles that begin with `first_tile`.
template <class E, class Out>
struct PanelProduct {
  const E* a;
  int64_t m, k, n;
  const E* packed;
  const float* bias;
  const Finish<Out>& finish;
  int64_t panel, first_tile;
  float* sums;  // (tiles, rows, 64) between the parts of a depth, if there are several

  void run(int64_t end) const {
    for (int64_t depth = 0; depth < k; depth += most_depth) {
      const int64_t part = std::min(most_depth, k - depth), few = near_tiles<E>(part);
      for (int64_t begin = first_tile; begin < end; begin += few) {
        for (int64_t c = 0; c < std::min(panel_columns, n - panel * panel_columns); c += pack_columns)
          run_strip(c, depth, part, begin, std::min(begin + few, end));
      }
    }
  }

 private:
  // Columns from `c` on of the panel, terms [depth, depth + part) of the sums.
  void run_strip(int64_t c, int64_t depth, int64_t part, int64_t begin, int64_t end) const {
    const int64_t first = panel * panel_columns + c;
    const E* const strip = packed + first * k + depth * pack_columns;
    const float* const start = bias == nullptr ? nullptr : bias + first;
    const bool last = depth + part == k;
    for (int64_t tile = begin; tile < end; ++tile) {
      float* const sum = k > most_depth ? sums + (tile - first_tile) * sums_of_tile + c : nullptr;
      const int64_t row = tile * register_rows;
      const int64_t top = std::min(row, m - register_rows);  // the last tile begins among rows done before
      if (last) prefetch_tile(finish.out + top * n + first, n);
      if (last && finish.residual != nullptr) prefetch_tile(finish.residual + top * n + first, n);
      Tile whole;
      register_product(a + top * k + depth, k, strip, part, last ? whole : sum,
                       last ? pack_columns : panel_columns, depth > 0 ? sum : start,
                       depth > 0 ? panel_columns : 0);
      if (last) finish_tile(whole, row - top, top, first, finish);
    }
  }
};

template <class E, class Out>
void product_of(const E* a, int64_t m, int64_t k, int64_t n, const E* packed, const float* bias,
                const Finish<Out>& finish) {
  const int64_t tiles = (m + register_rows - 1) / register_rows;
  // Each panel in equal parts, some 16 for each thread in all, but none of less than some 30 us.
  const int64_t wanted = panels_of(n) * tiles / (16 * num_threads());
  const int64_t most = std::clamp(wanted, int64_t{16}, most_tiles), parts = (tiles + most - 1) / most;
  const int64_t part = (tiles + parts - 1) / parts;
  // In order of rows, so that a thread has the same ones in all products of a layer (threads.h). But a b that is larger than
  // a cache is read from memory: then panel after panel, each once.
  const bool by_panel = n * k * int64_t{sizeof(E)} > (int64_t{4} << 20);
  parallel_tasks(panels_of(n) * parts, [&](int64_t task) {
    const int64_t panel = by_panel ? task / parts : task % panels_of(n);
    const int64_t kept = k > most_depth ? part * sums_of_tile : 0;
    const Storage room(sizeof(float) * static_cast<size_t>(kept), Device::cpu());
    const int64_t begin = (by_panel ? task % parts : task / panels_of(n)) * part,
                  end = std::min(begin + part, tiles);
    PanelProduct<E, Out>{a, m, k, n, packed, bias, finish, panel, begin, static_cast<float*>(room.data())}
        .run(end);
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

// Stores a line of sums that begins at (row, first). bias (64), or null.
template <class Out>
void finish_line(const float* sums, const float* bias, int64_t row, int64_t first,
                 const Finish<Out>& finish) {
  for (int64_t c = 0; c < std::min(panel_columns, finish.n - first); c += line_columns) {
    Line x;
    load_line(sums + c, x);
    if (bias != nullptr) {
      Line more;
      load_line(bias + c, more);
#pragma GCC unroll 4
      for (int64_t i = 0; i < line_vectors; ++i) x[i] += more[i];
    }
    finish.put(x, row, first + c);
  }
}

template <class Out>
void product_of_tiles(const BFloat16* a, int64_t m, int64_t k, int64_t n, const void* packed,
                      const float* bias, const Finish<Out>& finish) {
  const auto left = [=](int64_t tile, int64_t step, int64_t steps, void* room) {
    const int64_t row = tile * amx_rows, first = step * amx_depth<BFloat16>;
    amx_pack_rows(a + row * k + first, k, std::min(amx_rows, m - row),
                  std::min(steps * amx_depth<BFloat16>, k - first), room);
    return room;
  };
  amx_matmul<BFloat16>(m, n, k, packed, left,
                       [&](const float* sums, int64_t tile, int64_t panel, int64_t begin, int64_t end) {
                         const int64_t row = tile * amx_rows, first = panel * panel_columns;
                         const float* const start = bias == nullptr ? nullptr : bias + first;
                         for (int64_t r = begin; r < std::min(end, m - row); ++r)
                           finish_line(sums + r * panel_columns, start, row + r, first, finish);
                       });
}
#endif

template <class E, class Out>
void multiply(const Tensor& a, int64_t m, int64_t k, int64_t n, const void* packed, const Tensor& out,
              const Epilogue& epilogue) {
  const std::vector<float> bias = whole_panels(epilogue.bias, n);
  const float* const start = bias.empty() ? nullptr : bias.data();
  const Finish<Out> finish(epilogue, n, out);
#ifdef __AVX512BF16__
  if constexpr (std::is_same_v<E, BFloat16>) {
    if (has_amx()) return product_of_tiles(a.data<E>(), m, k, n, packed, start, finish);
  }
#endif
  product_of(a.data<E>(), m, k, n, static_cast<const E*>(packed), start, finish);
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
