// Products of int8 by seven multiplications where the rule takes eight (V. Strassen, "Gaussian elimination is not optimal",
// 1969). A block of the output is 2 by 2 tiles of 6 rows and a strip of columns; with k cut into halves,
//
//   | C11 C12 |   | A11 A12 | | B11 B12 |        M1 = (A11 + A22) (B11 + B22)     C11 = M1 + M4 - M5 + M7
//   | C21 C22 | = | A21 A22 | | B21 B22 |        M2 = (A21 + A22)  B11            C12 = M3 + M5
//                                                M3 =  A11        (B12 - B22)     C21 = M2 + M4
//                                                M4 =  A22        (B21 - B11)     C22 = M1 - M2 + M3 + M6
//                                                M5 = (A11 + A12)  B22
//                                                M6 = (A21 - A11) (B11 + B12)
//                                                M7 = (A12 - A22) (B21 + B22)
//
// [snippet: example]
//   | 1 2 | | 5 6 |     M1 = 5 * 13 = 65    M4 = 4 *  2 =   8    C11 = 65 + 8 - 24 - 30 = 19
//   | 3 4 | | 7 8 |     M2 = 7 *  5 = 35    M5 = 3 *  8 =  24    C12 = -2 + 24          = 22
//                       M3 = 1 * -2 = -2    M6 = 2 * 11 =  22    C21 = 35 + 8           = 43
//                                           M7 = -2 * 15 = -30   C22 = 65 - 35 - 2 + 22 = 50
// [end]
// In f32 the differences would cost accuracy. Sums of integers are exact, even if one on the way leaves 32 bits, as unsigned
// words wrap around: the result is the rule's to the last bit, as long as the operands, of up to 254, fit the instruction. They
// do where it multiplies words of 16 bits (PairsInWords).
#pragma once

#include <algorithm>
#include <cstdint>
#include <vector>

#include "backends/cpu/integer_epilogue.h"
#include "backends/cpu/integer_product.h"
#include "backends/cpu/packed_weights.h"
#include "backends/cpu/product.h"
#include "backends/cpu/quantize_row.h"
#include "tensor/tensor.h"
#include "tensor/threads.h"

#ifdef __SSE2__

namespace nabla {

inline constexpr int64_t block_rows = 2 * tile_rows, block_columns = 2 * strip_columns, strassen_products = 7;
using IntegerBlock = int32_t[block_rows * block_columns];

// Words of one half of k, filled up to whole vectors.
inline int64_t half_words(int64_t k) {
  return pieces_of(k, 2 * PairsInWords::elements * word_lanes) * word_lanes;
}

// The operands of M1 to M7, a vector of each at `to` and then at every `next` elements. Numbers of 16 bits, as many as a word's
// vector has.
using PairVector [[gnu::vector_size(4 * word_lanes)]] = int16_t;
inline constexpr int64_t pair_lanes = 2 * word_lanes;
inline void store_operands(const PairVector (&operands)[strassen_products], int16_t* to, int64_t next) {
#pragma GCC unroll 7
  for (int64_t p = 0; p < strassen_products; ++p) memcpy(to + p * next, &operands[p], sizeof operands[p]);
}

// The left operands (7, 6, half) from 12 rows of A (12, 2 half). half is a multiple of pair_lanes.
inline void left_operands(const int16_t* rows, int64_t half, int16_t* to) {
  const auto load = [](const int16_t* from) {
    PairVector x;
    memcpy(&x, from, sizeof x);
    return x;
  };
  for (int64_t row = 0; row < tile_rows; ++row, rows += 2 * half, to += half) {
    const int16_t* const below = rows + tile_rows * 2 * half;
    for (int64_t j = 0; j < half; j += pair_lanes) {
      const PairVector a11 = load(rows + j), a12 = load(rows + half + j), a21 = load(below + j),
                       a22 = load(below + half + j);
      store_operands({a11 + a22, a21 + a22, a11, a22, a11 + a12, a21 - a11, a12 - a22}, to + j,
                     tile_rows * half);
    }
  }
}

// A word of each column of a strip.
inline constexpr int64_t strip_elements = strip_columns * PairsInWords::elements;
static_assert(strip_elements % pair_lanes == 0);

// The right operands (7, words, strip_elements) from columns of B as pack_quadrants() has them.
inline void right_operands(const int8_t* quadrants, int64_t words, int16_t* to) {
  const auto load = [](const int8_t* from) {
    using Bytes [[gnu::vector_size(pair_lanes)]] = int8_t;
    Bytes x;
    memcpy(&x, from, sizeof x);
    return __builtin_convertvector(x, PairVector);
  };
  for (int64_t word = 0; word < words; ++word, quadrants += 4 * strip_elements, to += strip_elements) {
    for (int64_t j = 0; j < strip_elements; j += pair_lanes) {
      const PairVector b11 = load(quadrants + j), b12 = load(quadrants + strip_elements + j),
                       b21 = load(quadrants + 2 * strip_elements + j),
                       b22 = load(quadrants + 3 * strip_elements + j);
      store_operands({b11 + b22, b11, b12 - b22, b21 - b11, b22, b11 + b12, b21 + b22}, to + j,
                     words * strip_elements);
    }
  }
}

// Copies up to block_columns columns of B, rows of a matrix (n, k), as B11, B12, B21 and B22 word by word:
// (words, 4, strip_columns, 2). Missing columns and elements are zeros.
inline void pack_quadrants(const int8_t* b, int64_t columns, int64_t k, int64_t words, int8_t* to) {
  constexpr int64_t few = 64;  // elements at a time, so that reads use whole cache lines
  const int64_t half = words * PairsInWords::elements;
  std::fill_n(to, words * 4 * strip_elements, int8_t{0});
  for (int64_t below = 0; below < 2 && below * half < k; ++below) {  // B11 and B12, then B21 and B22
    const int64_t depth = std::min(half, k - below * half);
    for (int64_t first = 0; first < depth; first += few) {
      const int64_t end = std::min(first + few, depth);
      for (int64_t c = 0; c < columns; ++c) {
        const int8_t* const from = b + c * k + below * half;
        int8_t* const column = to + (below * 2 + c / strip_columns) * strip_elements + c % strip_columns * 2;
        for (int64_t i = first; i < end; ++i) column[i / 2 * 4 * strip_elements + i % 2] = from[i];
      }
    }
  }
}

// What becomes of a product in a tile of the output.
enum class Into { nothing, store, add, subtract };

template <Into into>
[[gnu::always_inline]] inline void put_sums(const WordVector& sums, int32_t* to) {
  if constexpr (into == Into::nothing) return;
  auto c = reinterpret_cast<WrappingVector>(sums);
  if constexpr (into == Into::add || into == Into::subtract) {
    WrappingVector before;
    memcpy(&before, to, sizeof before);
    c = into == Into::add ? before + c : before - c;
  }
  memcpy(to, &c, sizeof c);
}

// Brings M into the tiles c1 and c2, which have rows of block_columns. M (6, strip_columns) is the product of
// rows `words` long and apart, and of columns as right_operands() has them. Not inlined, so that the sums stay in registers.
template <Into first, Into second>
[[gnu::noinline]] void strassen_product(const int32_t* a, const int32_t* b, int64_t words, int32_t* c1,
                                        int32_t* c2) {
  WordVector sum[tile_rows][strip_vectors] = {};
  add_words<PairsInWords>(a, b, words, sum);
#pragma GCC unroll 6
  for (int64_t i = 0; i < tile_rows; ++i) {
#pragma GCC unroll 4
    for (int64_t j = 0; j < strip_vectors; ++j) {
      const int64_t at = i * block_columns + j * word_lanes;
      put_sums<first>(sum[i][j], c1 + at);
      put_sums<second>(sum[i][j], c2 + at);
    }
  }
}

// blocks (count) = A B for one block of rows, of left_operands(), and blocks of columns, of right_operands(). Each left operand
// meets all columns before the next: it is read from the first-level cache but for the first time.
inline void multiply_blocks(const int32_t* left, const int32_t* right, int64_t words, IntegerBlock* blocks,
                            int64_t count) {
  constexpr int64_t below = tile_rows * block_columns, beside = strip_columns;
  struct Product {
    void (*multiply)(const int32_t*, const int32_t*, int64_t, int32_t*, int32_t*);
    int64_t first, second;  // tiles that it is brought into
  };
  using enum Into;
  static constexpr Product all[strassen_products] = {
      {strassen_product<store, store>, 0, below + beside},
      {strassen_product<store, subtract>, below, below + beside},
      {strassen_product<store, add>, beside, below + beside},
      {strassen_product<add, add>, 0, below},
      {strassen_product<add, subtract>, beside, 0},
      {strassen_product<add, nothing>, below + beside, 0},
      {strassen_product<add, nothing>, 0, 0}};
  for (int64_t p = 0; p < strassen_products; ++p) {
    for (int64_t i = 0; i < count; ++i)
      all[p].multiply(left + p * tile_rows * words,
                      right + (i * strassen_products + p) * words * strip_columns, words,
                      blocks[i] + all[p].first, blocks[i] + all[p].second);
  }
}

// out = residual + column_scale * act(a b^T + bias): a (m, k), times `factors` (k) if there are any, is quantised here, b i8
// (n, k).
template <class T, class Out>
class StrassenProduct {
 public:
  StrassenProduct(const T* a, const float* factors, int64_t k, const Tensor& b, IntegerEpilogue<Out>& then)
      : a_(a),
        factors_(factors),
        k_(k),
        words_(half_words(k)),
        row_blocks_(pieces_of(then.m, block_rows)),
        column_blocks_(pieces_of(then.n, block_columns)),
        then_(then),
        left_(sizeof(int32_t) * static_cast<size_t>(row_blocks_ * left_words()), Device::cpu()),
        columns_(b, {}, true, static_cast<size_t>(column_blocks_ * packed_bytes()),
                 [&](void* room) { pack_columns(b.data<int8_t>(), static_cast<int8_t*>(room)); }) {}

  void run() {
    constexpr int64_t few = 4;  // blocks of rows, which are a task
    parallel_tasks(pieces_of(row_blocks_, few), [&](int64_t task) {
      quantize_blocks(task * few, std::min((task + 1) * few, row_blocks_));
    });
    // A task has 16 blocks of rows or more, as it makes its right operands anew: with 16 that takes a 50th of its time. And it
    // has up to 4 blocks of columns, so that left operands are not read from memory for each. There are at least some 8 tasks
    // for each thread.
    const int64_t fair = column_blocks_ * row_blocks_ / (64 * num_threads()),
                  parts = pieces_of(row_blocks_, std::max(fair, int64_t{16})),
                  part = pieces_of(row_blocks_, parts),
                  wide = std::clamp(column_blocks_ * parts / (8 * num_threads()), int64_t{1}, most_wide),
                  groups = pieces_of(column_blocks_, wide);
    parallel_tasks(groups * parts, [&](int64_t task) {
      const int64_t begin = task / groups * part, column = task % groups * wide;
      multiply(column, std::min(wide, column_blocks_ - column), begin, std::min(begin + part, row_blocks_));
    });
  }

 private:
  static constexpr int64_t most_wide = 4;  // blocks of columns

  int64_t left_words() const { return strassen_products * tile_rows * words_; }
  int64_t packed_bytes() const { return 4 * strip_elements * words_; }
  int32_t* left(int64_t block) const { return static_cast<int32_t*>(left_.data()) + block * left_words(); }

  void pack_columns(const int8_t* b, int8_t* room) const {
    parallel_tasks(column_blocks_, [&](int64_t block) {
      const int64_t first = block * block_columns;
      pack_quadrants(b + first * k_, std::min(block_columns, then_.n - first), k_, words_,
                     room + block * packed_bytes());
    });
  }

  // The left operands of the blocks [begin, end). What a row lacks of two halves is zeros. Rows that a lacks are whatever the block
  // before had there: others' sums do not depend on them.
  void quantize_blocks(int64_t begin, int64_t end) {
    const int64_t half = PairsInWords::elements * words_;
    std::vector<float> room(static_cast<size_t>(k_));
    std::vector<int16_t> rows(static_cast<size_t>(block_rows * 2 * half));
    for (int64_t block = begin; block < end; ++block) {
      const int64_t first = block * block_rows, count = std::min(block_rows, then_.m - first);
      for (int64_t r = 0; r < count; ++r)
        then_.row_scale[static_cast<size_t>(first + r)] =
            quantize_row<0>(a_ + (first + r) * k_, factors_, k_, room.data(), &rows[r * 2 * half]);
      left_operands(rows.data(), half, reinterpret_cast<int16_t*>(left(block)));
    }
  }

  void multiply(int64_t column, int64_t count, int64_t begin, int64_t end) const {
    const int64_t right_words = strassen_products * words_ * strip_columns;
    const Storage room(sizeof(int32_t) * static_cast<size_t>(count * right_words), Device::cpu());
    auto* const right = static_cast<int32_t*>(room.data());
    for (int64_t i = 0; i < count; ++i)
      right_operands(static_cast<const int8_t*>(columns_.data()) + (column + i) * packed_bytes(), words_,
                     reinterpret_cast<int16_t*>(right + i * right_words));
    IntegerBlock blocks[most_wide];
    for (int64_t block = begin; block < end; ++block) {
      multiply_blocks(left(block), right, words_, blocks, count);
      for (int64_t i = 0; i < count; ++i)
        then_.template store_lines<block_columns>(blocks[i], block_rows, block * block_rows,
                                                  (column + i) * block_columns);
    }
  }

  const T* a_;
  const float* factors_;
  int64_t k_, words_, row_blocks_, column_blocks_;
  IntegerEpilogue<Out>& then_;
  Storage left_;
  PackedOperand columns_;
};

}  // namespace nabla

#endif
