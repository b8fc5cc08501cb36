// A block of out is block_rows by up to block_columns. For each `depth_part` of k, the block's columns of a are packed
// (196 kB), then for each panel of 64 columns of b these (131 kB), and the tiles of both are multiplied and added to the block's
// sums (147 kB): all of it fits into a second-level cache of half a megabyte. An element of a is packed for 384 multiply-adds,
// one of b for 96.
#include "backends/cpu/transposed_product.h"

#include <algorithm>

#include "backends/common/convert.h"
#include "backends/cpu/amx.h"
#include "backends/cpu/epilogue.h"
#include "backends/cpu/onednn.h"
#include "backends/cpu/pack_strip.h"
#include "backends/cpu/packed_product.h"
#include "backends/cpu/product.h"
#include "backends/cpu/transposed_amx.h"
#include "tensor/threads.h"

namespace nabla {

namespace {

constexpr int64_t block_rows = 64 * register_rows, block_columns = 384, part_units = 96;
template <class E>
constexpr int64_t depth_part = part_units* register_pair<E>;
constexpr int64_t least_rows = 16 * register_rows, least_terms = 512;

// How the product is cut. Few rows and columns make few blocks: k is cut too then, into `parts` that are added in order. That
// decides on the bits of a result, and so only the shape decides on it. The height of a block does not: it is as large as
// leaves each thread a few of them.
struct Cut {
  int64_t rows, row_blocks, column_blocks, terms, parts;

  // Blocks of `most_rows` rows, halved while there are fewer than `for_each_thread` tasks for each thread.
  Cut(int64_t m, int64_t n, int64_t k, int64_t most_rows, int64_t for_each_thread)
      : rows(most_rows), column_blocks(pieces_of(n, block_columns)) {
    constexpr int64_t enough = 8;
    const int64_t wanted = pieces_of(enough, pieces_of(m, least_rows) * column_blocks);
    terms = pieces_of(k, std::clamp(k / least_terms, int64_t{1}, wanted));
    terms += terms % 2;  // whole pairs
    parts = pieces_of(k, terms);
    while (rows > least_rows && pieces_of(m, rows) * column_blocks * parts < for_each_thread * num_threads())
      rows /= 2;
    row_blocks = pieces_of(m, rows);
  }
};

template <class E>
struct Operands {
  const E *a, *b;
  int64_t m, n, k;
};

// Asks for the next part of k bit by bit while this one is multiplied: packing then hardly waits for memory.
template <class E>
struct Ahead {
  const Operands<E>& from;
  int64_t row, rows, column, columns, begin, end;
  int64_t asked = 0;  // pieces, each of a line of a or b

  // After `call` of `calls`.
  void ask(int64_t call, int64_t calls) {
    constexpr int64_t piece = 512 / sizeof(E);
    const int64_t of_a = pieces_of(rows, piece), of_line = of_a + pieces_of(columns, piece);
    for (; asked * calls < call * (end - begin) * of_line; ++asked) {
      const int64_t line = begin + asked / of_line, i = asked % of_line;
      if (i < of_a)
        prefetch_line(from.a + line * from.m + row + i * piece, std::min(piece, rows - i * piece));
      else
        prefetch_line(from.b + line * from.n + column + (i - of_a) * piece,
                      std::min(piece, columns - (i - of_a) * piece));
    }
  }
};

// The block of out at (row, column), of the terms from `first` to `end`.
template <class E>
struct Block {
  int64_t row, rows, column, columns, first, end;
  E *a, *b;     // packed parts of both
  float* sums;  // tiles of register_rows lines of `width`
  int64_t width = pieces_of(columns, pack_columns) * pack_columns;

  void compute(const Operands<E>& from) const {
    for (int64_t depth = first; depth < end; depth += depth_part<E>) {
      const int64_t lines = std::min(depth_part<E>, end - depth), next = depth + lines;
      pack_tiles(from.a + depth * from.m + row, from.m, lines);
      pack_strips(from.b + depth * from.n + column, from.n, lines, columns,
                  strip_size<E>(lines, pack_columns), b);
      multiply_part(lines, depth > first,
                    Ahead{from, row, rows, column, columns, next, std::min(next + depth_part<E>, end)});
    }
  }

 private:
  void multiply_part(int64_t lines, bool more, Ahead<E> ahead) const {
    constexpr int64_t pair = register_pair<E>;
    const int64_t bundles = pieces_of(lines, pair) * pair;
    const int64_t calls = width / pack_columns * pieces_of(rows, register_rows);
    int64_t call = 0;
    for (int64_t c = 0; c < width; c += pack_columns) {
      for (int64_t r = 0; r < rows; r += register_rows) {
        float* const sum = sums + r * width + c;
        register_product(a + r / register_rows * strip_size<E>(lines, register_rows), bundled,
                         b + c / pack_columns * strip_size<E>(lines, pack_columns), bundles, sum, width,
                         more ? sum : nullptr, width);
        ahead.ask(++call, calls);
      }
    }
  }

  // a's lines, tile after tile, each (lines / pair, register_rows, pair).
  void pack_tiles(const E* from, int64_t stride, int64_t lines) const {
    constexpr int64_t pair = register_pair<E>;
    const int64_t tile_size = strip_size<E>(lines, register_rows) / pair;
    PackUnit buffer[block_rows];
    for (int64_t l = 0; l < lines; l += pair, from += pair * stride) {
      const PackUnit* const line = line_of(from, stride, lines - l, rows, buffer);
      auto* to = reinterpret_cast<PackUnit*>(a) + l / pair * register_rows;
      int64_t r = 0;
      for (; r + register_rows <= rows; r += register_rows, to += tile_size)
        memcpy(to, line + r, register_rows * sizeof(PackUnit));
      for (int64_t i = r; i < r + register_rows && r < rows; ++i) to[i - r] = i < rows ? line[i] : 0;
    }
  }
};

template <class E, class Out>
void multiply(const Operands<E>& from, const Cut& cut, Out* out) {
  const int64_t blocks = cut.row_blocks * cut.column_blocks;
  parallel_tasks(blocks * cut.parts, [&](int64_t task) {
    const int64_t part = task / blocks, block = task % blocks;
    const int64_t row = block / cut.column_blocks * cut.rows;
    const int64_t column = block % cut.column_blocks * block_columns;
    constexpr size_t a_size = block_rows / register_rows * (part_units * register_rows + strip_gap),
                     b_size = block_columns / pack_columns * (part_units * pack_columns + strip_gap);
    const Storage room((a_size + b_size) * sizeof(PackUnit) + block_rows * block_columns * sizeof(float),
                       Device::cpu());
    E* const packed = static_cast<E*>(room.data());
    constexpr size_t units = sizeof(PackUnit) / sizeof(E);
    const Block<E> it{.row = row,
                      .rows = std::min(cut.rows, from.m - row),
                      .column = column,
                      .columns = std::min(block_columns, from.n - column),
                      .first = part * cut.terms,
                      .end = std::min((part + 1) * cut.terms, from.k),
                      .a = packed,
                      .b = packed + a_size * units,
                      .sums = reinterpret_cast<float*>(packed + (a_size + b_size) * units)};
    it.compute(from);
    for (int64_t r = 0; r < it.rows; ++r) {
      Out* const to = out + (part * from.m + row + r) * from.n + column;
      for (int64_t j = 0; j < it.columns; ++j) to[j] = static_cast<Out>(it.sums[r * it.width + j]);
    }
  });
}

#ifdef __AVX512BF16__
// The same by AMX.
template <class Out>
void multiply_by_tiles(const Operands<BFloat16>& from, const Cut& cut, Out* out) {
  static_assert(AmxTransposedBlock::most_columns == block_columns);
  const int64_t blocks = cut.row_blocks * cut.column_blocks;
  parallel_tasks(blocks * cut.parts, [&](int64_t task) {
    const int64_t part = task / blocks, block = task % blocks;
    const int64_t row = block / cut.column_blocks * cut.rows,
                  column = block % cut.column_blocks * block_columns, first = part * cut.terms;
    const int64_t lines = std::min(cut.terms, from.k - first), rows = std::min(cut.rows, from.m - row),
                  columns = std::min(block_columns, from.n - column);
    const AmxTiles tiles;
    AmxTransposedBlock it;
    it.multiply({from.a + first * from.m + row, from.m, lines, rows},
                {from.b + first * from.n + column, from.n, lines, columns});
    for (int64_t r = 0; r < rows; ++r) {
      const float* const sums = it.row(r);
      Out* const to = out + (part * from.m + row + r) * from.n + column;
      for (int64_t j = 0; j < columns; ++j) store(to[j], sums[j]);
    }
  });
}
#endif

// Calls multiply_parts(where the sums go), and adds up the parts if k is cut.
template <class E, class Multiply>
void run(const Operands<E>& from, const Cut& cut, const Tensor& out, const Multiply& multiply_parts) {
  if (cut.parts > 1) {
    const Tensor sums = Tensor::empty({cut.parts, from.m, from.n}, Dtype::f32);
    multiply_parts(sums.data<float>());
    add_parts(sums, {}, out);
  } else if (out.dtype() == Dtype::f32) {
    multiply_parts(out.data<float>());
  } else {
    multiply_parts(out.data<E>());
  }
}

template <class E>
void run_blocks(const Tensor& a, const Tensor& b, int64_t m, int64_t n, int64_t k, const Tensor& out) {
  const Operands<E> from{a.data<E>(), b.data<E>(), m, n, k};
#ifdef __AVX512BF16__
  if constexpr (std::is_same_v<E, BFloat16>) {
    // Fewer, larger blocks than below: the less there are, the less is brought into order twice.
    const Cut cut(m, n, k, AmxTransposedBlock::most_rows, 2);
    if (has_amx()) return run(from, cut, out, [&](auto* sums) { multiply_by_tiles(from, cut, sums); });
  }
#endif
  const Cut cut(m, n, k, block_rows, 4);
  run(from, cut, out, [&](auto* sums) { multiply(from, cut, sums); });
}

}  // namespace

bool has_transposed_product(Dtype dtype, int64_t m, int64_t n, int64_t k) {
  constexpr int64_t few_terms = 256, few_columns = 64;
  if (dtype == Dtype::bf16 && !has_amx() && onednn::multiplies_tiles()) return false;
  return k >= few_terms && n >= few_columns && has_packed_product(dtype, m, 2);
}

void transposed_product(const Tensor& a, const Tensor& b, int64_t m, int64_t n, int64_t k,
                        const Tensor& out) {
  if constexpr (has_register_product<float>) {
    if (a.dtype() == Dtype::f32) return run_blocks<float>(a, b, m, n, k, out);
  }
  if constexpr (has_register_product<BFloat16>) {
    if (a.dtype() == Dtype::bf16) return run_blocks<BFloat16>(a, b, m, n, k, out);
  }
  fail("transposed_product: this processor has none for {}", a.dtype());
}

}  // namespace nabla
