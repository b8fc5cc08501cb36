// Products by AMX: one instruction multiplies two tiles, each of 16 rows of 64 bytes, and adds the result to a tile of
// 16 x 16 sums. A processor that has it multiplies bf16 16 times and int8 32 times as fast as f32, so that everything
// around a product (bringing operands into order, the epilogue) weighs more than elsewhere.
//
// Eight tiles are all there are: four hold the sums of 32 rows by 32 columns, two a piece of a, two a piece of b. So each
// piece is used twice, and a step takes as many loads as multiplications, which is the most of them that eight tiles allow.
//
// Operands are in tile order: step after step, 64 bytes of depth, with two tiles of 1 KB each. A row of a's tiles is 64 bytes
// of one row of a; a row of b's tiles is 32 bits (2 of bf16, 4 of int8) of each of 16 columns of b. So tiles are loaded
// from consecutive cache lines: a third faster than from rows that lie apart.
#pragma once

#include <algorithm>
#include <cstdint>
#include <cstring>

#include "backends/cpu/pack_strip.h"
#include "tensor/bfloat16.h"

namespace nabla {

// Whether this processor has the tiles, their products of bf16 and of int8, and the system lets this process use them.
bool has_amx();

inline constexpr int64_t amx_tile_rows = 16, amx_row_bytes = 64,
                         amx_tile_bytes = amx_tile_rows * amx_row_bytes;
// Of the sums that are held at once, and the bytes of either operand's step.
inline constexpr int64_t amx_rows = 2 * amx_tile_rows, amx_step_bytes = 2 * amx_tile_bytes;

#ifdef __AVX512BF16__  // whoever has AMX has this; and so a level below it is kept to its own instructions

template <class E>
inline constexpr int64_t amx_depth = amx_row_bytes / static_cast<int64_t>(sizeof(E));  // of a step
template <class E>
int64_t amx_steps(int64_t depth) {
  return (depth + amx_depth<E> - 1) / amx_depth<E>;
}

// While it lives, this thread's tiles are ready. Afterwards they are given back: a thread that holds some costs 8 KB more
// at each change of threads.
class AmxTiles {
 public:
  AmxTiles() {
    struct {
      uint8_t palette = 1, start_row = 0, reserved[14] = {};
      uint16_t row_bytes[16] = {64, 64, 64, 64, 64, 64, 64, 64};
      uint8_t rows[16] = {16, 16, 16, 16, 16, 16, 16, 16};
    } shapes;
    static_assert(sizeof shapes == 64);
    asm volatile("ldtilecfg %0" ::"m"(shapes));
  }
  ~AmxTiles() { asm volatile("tilerelease"); }
  AmxTiles(const AmxTiles&) = delete;
  AmxTiles& operator=(const AmxTiles&) = delete;
};

// The instructions stand here as such, as the compiler is not told of them: not every processor of this level has them.
// Rows of 64 bytes, `stride` bytes apart.
template <int tile>
void amx_load(const void* from, int64_t stride) {
  asm volatile("tileloadd (%0, %1), %%tmm%c2" ::"r"(from), "r"(stride), "i"(tile) : "memory");
}
template <int tile>
void amx_store(void* to, int64_t stride) {
  asm volatile("tilestored %%tmm%c2, (%0, %1)" ::"r"(to), "r"(stride), "i"(tile) : "memory");
}

// What elements of E are added up in, and sums += a b of one tile each.
template <class E>
struct AmxProduct;
template <>
struct AmxProduct<BFloat16> {
  using Sum = float;
  template <int sums, int a, int b>
  static void multiply() {
    asm volatile("tdpbf16ps %%tmm%c0, %%tmm%c1, %%tmm%c2" ::"i"(b), "i"(a), "i"(sums));
  }
};
template <>
struct AmxProduct<int8_t> {
  using Sum = int32_t;
  template <int sums, int a, int b>
  static void multiply() {
    asm volatile("tdpbssd %%tmm%c0, %%tmm%c1, %%tmm%c2" ::"i"(b), "i"(a), "i"(sums));
  }
};

// The instructions of amx_product() after which it may pause.
constexpr int64_t amx_pauses(int64_t steps) { return 8 * steps + 4; }

// c (32, 32) = a b, or, if `add`, c + a b: a and b in tile order, c has rows of c_stride elements. AmxTiles must live.
// meanwhile() is called at every `every`-th pause, for a little other work.
//
// The finer the mixture, the less tiles and vectors wait for each other. A step, which is four loads and four
// multiplications, and then 16 vectors of a softmax take 174 cycles; with two of the vectors after each instruction it is 128.
// Where a second thread shares the processor, it is 370 and 220.
template <class E, class Meanwhile, class Sum = typename AmxProduct<E>::Sum>
void amx_product(const void* a, const void* b, int64_t steps, bool add, Sum* c, int64_t c_stride,
                 int64_t every, const Meanwhile& meanwhile) {
  using Product = AmxProduct<E>;
  const int64_t row = c_stride * static_cast<int64_t>(sizeof(Sum));
  Sum* const lower = c + amx_tile_rows * c_stride;
  if (add) {
    amx_load<0>(c, row), amx_load<1>(c + amx_tile_rows, row);
    amx_load<2>(lower, row), amx_load<3>(lower + amx_tile_rows, row);
  } else {
    asm volatile("tilezero %%tmm0\n\ttilezero %%tmm1\n\ttilezero %%tmm2\n\ttilezero %%tmm3" ::);
  }
  int64_t wait = every;
  const auto pause = [&] {
    if (--wait > 0) return;
    wait = every;
    meanwhile();
  };
  const auto *left = static_cast<const char*>(a), *right = static_cast<const char*>(b);
  for (int64_t step = 0; step < steps; ++step) {
    amx_load<6>(right, amx_row_bytes);
    pause();
    amx_load<4>(left, amx_row_bytes);
    pause();
    Product::template multiply<0, 4, 6>();
    pause();
    amx_load<7>(right + amx_tile_bytes, amx_row_bytes);
    pause();
    Product::template multiply<1, 4, 7>();
    pause();
    amx_load<5>(left + amx_tile_bytes, amx_row_bytes);
    pause();
    Product::template multiply<2, 5, 6>();
    pause();
    Product::template multiply<3, 5, 7>();
    pause();
    left += amx_step_bytes, right += amx_step_bytes;
  }
  amx_store<0>(c, row);
  pause();
  amx_store<1>(c + amx_tile_rows, row);
  pause();
  amx_store<2>(lower, row);
  pause();
  amx_store<3>(lower + amx_tile_rows, row);
  pause();
}

// `count` elements. A whole row of a tile, amx_depth of them, is one vector.
template <class E>
inline void copy_row(const E* from, int64_t count, void* to) {
  if (count == amx_depth<E>)
    memcpy(to, from, amx_row_bytes);
  else
    memcpy(to, from, static_cast<size_t>(count) * sizeof(E));
}

// to = from transposed, one tile each, in units of 32 bits. Both may be the same.
inline void amx_transpose_tile(const char* from, char* to) {
  PackUnits square[pack_lanes];
#pragma GCC unroll 16
  for (int64_t i = 0; i < pack_lanes; ++i) memcpy(&square[i], from + i * amx_row_bytes, sizeof square[i]);
  transpose_square(square);
#pragma GCC unroll 16
  for (int64_t i = 0; i < pack_lanes; ++i) memcpy(to + i * amx_row_bytes, &square[i], sizeof square[i]);
}

// Brings up to 32 rows of a, `depth` elements each and `stride` apart, into tile order. What is missing is 0.
template <class E>
void amx_pack_rows(const E* a, int64_t stride, int64_t rows, int64_t depth, void* to) {
  for (int64_t r = 0; r < amx_rows; ++r) {
    char* line = static_cast<char*>(to) + r * amx_row_bytes;
    for (int64_t k = 0; k < depth; k += amx_depth<E>, line += amx_step_bytes) {
      const int64_t count = r < rows ? std::min(amx_depth<E>, depth - k) : 0;
      if (count < amx_depth<E>) memset(line, 0, amx_row_bytes);
      if (count > 0) copy_row(a + r * stride + k, count, line);
    }
  }
}

// The same of up to 32 columns of b, each `depth` elements side by side, `stride` from the next column.
template <class E>
void amx_pack_columns(const E* b, int64_t stride, int64_t columns, int64_t depth, void* to) {
  auto* tile = static_cast<char*>(to);
  for (int64_t k = 0; k < depth; k += amx_depth<E>) {
    const int64_t count = std::min(amx_depth<E>, depth - k);
    for (int64_t first = 0; first < amx_rows; first += amx_tile_rows, tile += amx_tile_bytes) {
      PackUnits square[pack_lanes] = {};
      for (int64_t c = first; c < std::min(columns, first + amx_tile_rows); ++c)
        copy_row(b + c * stride + k, count, &square[c - first]);
      transpose_square(square);
      memcpy(tile, square, sizeof square);
    }
  }
}

// The same of bf16 whose `columns` stand side by side, line after line, `stride` apart.
inline void amx_pack_lines(const BFloat16* b, int64_t stride, int64_t columns, int64_t depth, void* to) {
  auto* line = static_cast<char*>(to);
  memset(to, 0, static_cast<size_t>(amx_steps<BFloat16>(depth) * amx_step_bytes));
  for (int64_t k = 0; k < depth; k += 2, line += amx_row_bytes) {
    if (k > 0 && k % amx_depth<BFloat16> == 0) line += amx_tile_bytes;
    for (int64_t first = 0; first < columns; first += amx_tile_rows)
      pack_line(b + k * stride + first, stride, depth - k, std::min(columns - first, amx_tile_rows),
                reinterpret_cast<PackUnit*>(line + first / amx_tile_rows * amx_tile_bytes));
  }
}

#endif

}  // namespace nabla
