// Columns of a matrix in the order in which register_product() reads them.
#pragma once

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <utility>

#include "backends/cpu/register_product.h"

namespace nabla {

// What moves as one: an element of f32, or the pair of bf16 that one multiply-add takes.
using PackUnit = uint32_t;
using PackUnits __attribute__((vector_size(register_bytes))) = PackUnit;
inline constexpr int64_t pack_lanes = register_bytes / static_cast<int64_t>(sizeof(PackUnit));

// One step of a transposition: of two blocks side by side and the two below them, the corners away from the diagonal change
// places. Lanes of a and b, vectors `step` apart.
template <size_t step, bool lower, size_t... lane>
PackUnits exchanged(PackUnits a, PackUnits b, std::index_sequence<lane...>) {
  constexpr size_t lanes = sizeof...(lane);
  if constexpr (lower) return __builtin_shufflevector(a, b, (lane & step ? lanes + lane : lane + step)...);
  return __builtin_shufflevector(a, b, (lane & step ? lanes + lane - step : lane)...);
}

template <size_t step = static_cast<size_t>(pack_lanes) / 2>
void transpose_square(PackUnits (&square)[pack_lanes]) {
  using Lanes = std::make_index_sequence<static_cast<size_t>(pack_lanes)>;
#pragma GCC unroll 16
  for (size_t i = 0; i < static_cast<size_t>(pack_lanes); ++i) {
    if (i & step) continue;
    const PackUnits a = square[i], b = square[i + step];
    square[i] = exchanged<step, false>(a, b, Lanes{});
    square[i + step] = exchanged<step, true>(a, b, Lanes{});
  }
  if constexpr (step > 1) transpose_square<step / 2>(square);
}

// The columns of one call of register_product(), of which a matrix may lack some.
inline constexpr int64_t pack_columns = register_columns<float>;

// Asks for elements of a line, to be in the second-level cache soon.
template <class E>
void prefetch_line(const E* b, int64_t columns) {
  for (int64_t j = 0; j < columns; j += 64 / static_cast<int64_t>(sizeof(E))) __builtin_prefetch(b + j, 0, 2);
}

// units (columns) from the `pair` rows of b that begin at `b`, of which `lines` exist.
template <class E>
void pack_line(const E* b, int64_t stride, int64_t lines, int64_t columns, PackUnit* units) {
  if constexpr (register_pair<E> == 1) {
    memcpy(units, b, static_cast<size_t>(columns) * sizeof(E));
  } else {
    const auto* first = reinterpret_cast<const uint16_t*>(b);
    const uint16_t* const second = first + stride;
    if (lines < 2)
      for (int64_t j = 0; j < columns; ++j) units[j] = first[j];
    else
      for (int64_t j = 0; j < columns; ++j) units[j] = first[j] | static_cast<PackUnit>(second[j]) << 16;
  }
}

// The same, of f32 where they are.
template <class E>
const PackUnit* line_of(const E* b, int64_t stride, int64_t lines, int64_t columns, PackUnit* buffer) {
  if constexpr (register_pair<E> == 1) return reinterpret_cast<const PackUnit*>(b);
  pack_line(b, stride, lines, columns, buffer);
  return buffer;
}

// From one strip to the next: a cache line more than (ceil(lines / pair), width, pair). Without it, strips that are written
// side by side would lie a multiple of 4096 bytes apart, where a first-level cache keeps only some 8 lines.
inline constexpr int64_t strip_gap = 64 / sizeof(PackUnit);
template <class E>
int64_t strip_size(int64_t lines, int64_t width) {
  constexpr int64_t pair = register_pair<E>;
  return ((lines + pair - 1) / pair * width + strip_gap) * pair;
}

// Strips of b (lines, columns), which has rows of `stride`, each (ceil(lines / pair), pack_columns, pair) and `size` elements
// from the next. What b lacks is 0: columns, and the last line of an odd number in pairs. Line after line, because memory
// gives long pieces faster.
template <class E>
void pack_strips(const E* b, int64_t stride, int64_t lines, int64_t columns, int64_t size, E* to) {
  constexpr int64_t pair = register_pair<E>;
  const int64_t whole = columns / pack_columns, rest = columns % pack_columns;
  for (int64_t line = 0; line < lines; line += pair, b += pair * stride) {
    auto* units = reinterpret_cast<PackUnit*>(to) + line / pair * pack_columns;
    for (int64_t s = 0; s < whole; ++s, units += size / pair)
      pack_line(b + s * pack_columns, stride, lines - line, pack_columns, units);
    if (rest == 0) continue;
    pack_line(b + whole * pack_columns, stride, lines - line, rest, units);
    std::fill(units + rest, units + pack_columns, 0);
  }
}

// One strip of b^T: b (columns, lines) has rows of `stride`.
template <class E>
void pack_transposed_strip(const E* b, int64_t stride, int64_t lines, int64_t columns, E* to) {
  constexpr int64_t pair = register_pair<E>, depth = pack_lanes * pair;
  for (int64_t c = 0; c < pack_columns; c += pack_lanes) {
    for (int64_t line = 0; line < lines; line += depth) {
      PackUnits square[pack_lanes] = {};
      const int64_t rows = std::clamp(columns - c, int64_t{0}, pack_lanes);
      const int64_t count = std::min(depth, lines - line);
      for (int64_t r = 0; r < rows; ++r)
        memcpy(&square[r], b + (c + r) * stride + line, static_cast<size_t>(count) * sizeof(E));
      transpose_square(square);
      for (int64_t l = 0; l * pair < count; ++l) {
        E* const line_to = to + (line + l * pair) * pack_columns + c * pair;
        memcpy(static_cast<void*>(line_to), &square[l], sizeof square[l]);
      }
    }
  }
}

}  // namespace nabla
