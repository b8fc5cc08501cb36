// Operands in tile order and their products, against plain sums.
#include "backends/cpu/amx.h"

#include <doctest/doctest.h>

#include <cmath>
#include <vector>

#include "tests/support.h"

namespace nabla {

#ifdef __AVX512BF16__

namespace {

// Small whole numbers: their products and sums are exact in bf16, int8 and f32.
template <class E>
std::vector<E> small_numbers(int64_t count, uint32_t seed) {
  std::vector<E> numbers;
  for (uint32_t state = seed; static_cast<int64_t>(numbers.size()) < count;) {
    state = state * 1664525U + 1013904223U;
    const int number = static_cast<int>((state >> 16) % 15) - 7;
    if constexpr (std::is_same_v<E, BFloat16>)
      numbers.emplace_back(static_cast<float>(number));
    else
      numbers.push_back(static_cast<E>(number));
  }
  return numbers;
}

// a (rows, depth) b^T for b (columns, depth), twice, as sums of 32 by 32: what is missing is 0.
template <class E>
bool product_is_right(int64_t rows, int64_t columns, int64_t depth) {
  using Sum = typename AmxProduct<E>::Sum;
  const std::vector<E> a = small_numbers<E>(rows * depth, 1), b = small_numbers<E>(columns * depth, 2);
  const int64_t steps = amx_steps<E>(depth);
  std::vector<char> left(static_cast<size_t>(steps * amx_step_bytes), 1), right(left);
  amx_pack_rows(a.data(), depth, rows, depth, left.data());
  amx_pack_columns(b.data(), depth, columns, depth, right.data());
  constexpr int64_t stride = amx_rows + 5;
  std::vector<Sum> sums(static_cast<size_t>(amx_rows * stride), Sum(99));
  {
    const AmxTiles tiles;
    amx_product<E>(left.data(), right.data(), steps, false, sums.data(), stride, 1, [] {});
    amx_product<E>(left.data(), right.data(), steps, true, sums.data(), stride, 1, [] {});
  }
  for (int64_t i = 0; i < amx_rows; ++i) {
    for (int64_t j = 0; j < stride; ++j) {
      double sum = j < amx_rows ? 0 : 99;  // the sums have no more columns
      for (int64_t k = 0; k < depth && i < rows && j < columns; ++k)
        sum += 2 * static_cast<double>(a[static_cast<size_t>(i * depth + k)]) *
               static_cast<double>(b[static_cast<size_t>(j * depth + k)]);
      if (static_cast<double>(sums[static_cast<size_t>(i * stride + j)]) != sum) return false;
    }
  }
  return true;
}

}  // namespace

TEST_CASE("AMX: products of any rows, columns and depth up to a tile's and beyond") {
  if (!has_amx()) return skip("no AMX: products of tiles");
  for (const int64_t depth : {1, 2, 31, 32, 33, 64, 65, 200}) {
    for (const int64_t rows : {1, 15, 16, 17, 31, 32}) {
      INFO(rows, " rows, ", depth, " deep");
      CHECK(product_is_right<BFloat16>(rows, 33 - rows, depth));
      CHECK(product_is_right<int8_t>(rows, 33 - rows, depth));
    }
  }
}

TEST_CASE("AMX: columns that stand side by side are packed as those that do not") {
  if (!has_amx()) return skip("no AMX: products of tiles");
  for (const int64_t depth : {1, 2, 31, 32, 33, 95}) {
    for (const int64_t columns : {1, 16, 17, 32}) {
      const std::vector<BFloat16> lines = small_numbers<BFloat16>(depth * columns, 3);  // (depth, columns)
      std::vector<BFloat16> turned(lines.size());
      for (int64_t k = 0; k < depth; ++k) {
        for (int64_t c = 0; c < columns; ++c)
          turned[static_cast<size_t>(c * depth + k)] = lines[static_cast<size_t>(k * columns + c)];
      }
      std::vector<char> of_lines(static_cast<size_t>(amx_steps<BFloat16>(depth) * amx_step_bytes), 1),
          of_columns(of_lines.size(), 2);
      amx_pack_lines(lines.data(), columns, columns, depth, of_lines.data());
      amx_pack_columns(turned.data(), depth, columns, depth, of_columns.data());
      CAPTURE(depth);
      CAPTURE(columns);
      CHECK(of_lines == of_columns);
    }
  }
}

#endif

}  // namespace nabla
