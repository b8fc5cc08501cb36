// A block of transposed_product.cpp in bf16 by AMX (amx.h). k is taken in parts. Both operands lie across the tiles, so that
// bringing a part into their order takes half as long as its products: that of the next part is done a little at a time
// between the instructions of this one's. Two packed parts, 592 kB, and the sums, 295 kB, stay in a second-level cache of 2 MB.
#pragma once

#include <algorithm>
#include <cstring>

#include "backends/cpu/amx.h"
#include "backends/cpu/product.h"
#include "tensor/bfloat16.h"
#include "tensor/storage.h"

namespace nabla {

#ifdef __AVX512BF16__

// `columns` columns of a matrix with `lines` lines, `stride` elements from the next.
struct AmxColumns {
  const BFloat16* from;
  int64_t stride, lines, columns;
};

// Brings columns of a and b into tile order, a's transposed, a little at each next(): 32 lines of a, those of b, the next 32.
class AmxPacking {
 public:
  // Bytes from a group of 32 columns to the next: their steps and, for the reason of strip_gap, a cache line.
  static constexpr int64_t most_steps = 8, operand_bytes = most_steps * amx_step_bytes + amx_row_bytes;

  AmxPacking(const AmxColumns& a, char* to_a, const AmxColumns& b, char* to_b)
      : operands_{{a, to_a}, {b, to_b}}, lines_(a.lines) {
    for (const auto& [x, to] : operands_) {
      if (lines_ == 0 || (lines_ % step_lines == 0 && x.columns % amx_rows == 0)) continue;
      memset(to, 0, static_cast<size_t>(pieces_of(x.columns, amx_rows) * operand_bytes));
    }
  }
  // How often next() has something to do.
  int64_t count() const {
    const int64_t columns_a = operands_[0].x.columns, columns_b = operands_[1].x.columns;
    return pieces_of(lines_, 2) * (pieces_of(columns_a, width) + pieces_of(columns_b, width)) +
           amx_steps<BFloat16>(lines_) * pieces_of(columns_a, amx_tile_rows);
  }
  bool is_done() const { return first_ >= lines_; }

  [[gnu::noinline]] void next() {
    if (is_done()) return;
    const Operand& operand = operands_[of_b_ ? 1 : 0];
    const bool packs = line_ < std::min(step_lines, lines_ - first_);
    if (packs)
      pack_pair(operand);
    else
      amx_transpose_tile(tiles(operand), tiles(operand));
    column_ += packs ? width : amx_tile_rows;
    if (column_ < operand.x.columns) return;
    column_ = 0;
    if (packs) line_ += 2;
    if (line_ < std::min(step_lines, lines_ - first_) || (packs && !of_b_)) return;
    line_ = 0;
    if (of_b_) first_ += step_lines;
    of_b_ = !of_b_;
  }

 private:
  struct Operand {
    AmxColumns x;
    char* to;
  };
  static constexpr int64_t step_lines = amx_depth<BFloat16>, width = 96;  // columns at a time

  // What the columns from column_ on are brought to.
  char* tiles(const Operand& operand) const {
    return operand.to + column_ / amx_rows * operand_bytes + first_ / step_lines * amx_step_bytes +
           column_ % amx_rows / amx_tile_rows * amx_tile_bytes;
  }

  void pack_pair(const Operand& operand) const {
    const AmxColumns& x = operand.x;
    const int64_t line = first_ + line_, columns = std::min(width, x.columns - column_);
    const BFloat16* const from = x.from + line * x.stride + column_;
    char* const to = tiles(operand) + line_ / 2 * amx_row_bytes;
    constexpr int64_t ahead = 8;
    if (line + ahead + 1 < lines_) {
      prefetch_line(from + ahead * x.stride, columns);
      prefetch_line(from + (ahead + 1) * x.stride, columns);
    }
    if (columns < width || line + 1 == lines_) return pack_some(from, x.stride, lines_ - line, columns, to);
#pragma GCC unroll 3
    for (int64_t c = 0; c < width; c += amx_rows) {
      char* const two = to + c / amx_rows * operand_bytes;
      store_pairs(from + c, from + x.stride + c, two);
      store_pairs(from + c + amx_tile_rows, from + x.stride + c + amx_tile_rows, two + amx_tile_bytes);
    }
  }
  static void store_pairs(const BFloat16* low, const BFloat16* high, char* to) {
    const auto wide = [](const BFloat16* from) {
      constexpr __mmask16 all = 0xffff;  // as GCC 12 warns of uninitialised memory without one
      const __m256i halves = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(from));
      return reinterpret_cast<PackUnits>(_mm512_maskz_cvtepu16_epi32(all, halves));
    };
    const PackUnits units = wide(low) | wide(high) << 16;
    memcpy(to, &units, sizeof units);
  }
  [[gnu::noinline]] static void pack_some(const BFloat16* from, int64_t stride, int64_t lines,
                                          int64_t columns, char* to) {
    for (int64_t c = 0; c < columns; c += amx_tile_rows)
      pack_line(from + c, stride, lines, std::min(amx_tile_rows, columns - c),
                reinterpret_cast<PackUnit*>(to + c / amx_rows * operand_bytes +
                                            c % amx_rows / amx_tile_rows * amx_tile_bytes));
  }

  Operand operands_[2];
  int64_t lines_, first_ = 0, line_ = 0, column_ = 0;  // where next() goes on: of the 32 lines from first_ on
  bool of_b_ = false;
};

// a^T b of up to most_rows columns of a and most_columns of b, with the memory for it.
class AmxTransposedBlock {
 public:
  static constexpr int64_t most_rows = 192, most_columns = 384;

  AmxTransposedBlock()
      : room_(static_cast<size_t>(2 * part_bytes + most_rows * most_columns * int64_t{sizeof(float)}),
              Device::cpu()),
        sums_(reinterpret_cast<float*>(place(2))) {}

  void multiply(const AmxColumns& a, const AmxColumns& b) {
    width_ = pieces_of(b.columns, amx_rows) * amx_rows;
    AmxPacking packing = packing_of(a, b, 0);
    while (!packing.is_done()) packing.next();
    for (int64_t line = 0, part = 0; line < a.lines; line += part_lines, ++part) {
      packing = packing_of(a, b, part + 1);
      add_products(a, b, part, packing);
      while (!packing.is_done()) packing.next();
    }
  }
  // The sums of a's column r with b's.
  const float* row(int64_t r) const { return sums_ + r * width_; }

 private:
  static constexpr int64_t part_lines = AmxPacking::most_steps * amx_depth<BFloat16>,
                           b_offset = most_rows / amx_rows * AmxPacking::operand_bytes,
                           part_bytes = b_offset + most_columns / amx_rows * AmxPacking::operand_bytes;

  char* place(int64_t number) const { return static_cast<char*>(room_.data()) + number * part_bytes; }

  AmxPacking packing_of(const AmxColumns& a, const AmxColumns& b, int64_t part) const {
    const int64_t first = std::min(part * part_lines, a.lines), lines = std::min(part_lines, a.lines - first);
    char* const to = place(part % 2);
    return {{a.from + first * a.stride, a.stride, lines, a.columns},
            to,
            {b.from + first * b.stride, b.stride, lines, b.columns},
            to + b_offset};
  }

  void add_products(const AmxColumns& a, const AmxColumns& b, int64_t part, AmxPacking& ahead) const {
    const int64_t steps = amx_steps<BFloat16>(std::min(part_lines, a.lines - part * part_lines));
    const int64_t products = pieces_of(a.columns, amx_rows) * pieces_of(b.columns, amx_rows);
    const int64_t every =
        std::max<int64_t>(1, products * amx_pauses(steps) / std::max<int64_t>(1, ahead.count()));
    const char* const packed = place(part % 2);
    for (int64_t r = 0; r < a.columns; r += amx_rows) {
      for (int64_t c = 0; c < b.columns; c += amx_rows)
        amx_product<BFloat16>(packed + r / amx_rows * AmxPacking::operand_bytes,
                              packed + b_offset + c / amx_rows * AmxPacking::operand_bytes, steps, part > 0,
                              sums_ + r * width_ + c, width_, every, [&] { ahead.next(); });
    }
  }

  Storage room_;
  float* sums_;
  int64_t width_ = 0;
};

#endif

}  // namespace nabla
