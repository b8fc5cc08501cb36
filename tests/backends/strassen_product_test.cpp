// Strassen's seven products of int8 against plain sums.
#include "backends/cpu/strassen_product.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <vector>

#include "tests/backends/int8_numbers.h"
#include "tests/support.h"

namespace nabla {

#ifdef __SSE2__

namespace {

// Rows of A (12, k) and columns of B (n, k), and their product by one block of rows and as many blocks of columns as n fills.
struct Blocks {
  std::vector<int8_t> a, b;
  int64_t k, n;

  std::vector<IntegerBlock> product() const;
  int32_t expected(int64_t row, int64_t column) const;
  bool right() const;
};

std::vector<IntegerBlock> Blocks::product() const {
  const int64_t words = half_words(k), half = 2 * words, count = pieces_of(n, block_columns);
  std::vector<int16_t> rows(static_cast<size_t>(block_rows * 2 * half));
  for (int64_t r = 0; r < block_rows; ++r)
    std::copy_n(&a[static_cast<size_t>(r * k)], k, &rows[static_cast<size_t>(r * 2 * half)]);
  std::vector<int16_t> left(static_cast<size_t>(strassen_products * tile_rows * half)),
      right(static_cast<size_t>(count * strassen_products * words * strip_elements));
  left_operands(rows.data(), half, left.data());
  std::vector<int8_t> quadrants(static_cast<size_t>(4 * words * strip_elements), 77);
  for (int64_t block = 0; block < count; ++block) {
    const int64_t first = block * block_columns;
    pack_quadrants(&b[static_cast<size_t>(first * k)], std::min(block_columns, n - first), k, words,
                   quadrants.data());
    right_operands(quadrants.data(), words,
                   &right[static_cast<size_t>(block * strassen_products * words * strip_elements)]);
  }
  std::vector<IntegerBlock> blocks(static_cast<size_t>(count));
  multiply_blocks(reinterpret_cast<const int32_t*>(left.data()),
                  reinterpret_cast<const int32_t*>(right.data()), words, blocks.data(), count);
  return blocks;
}

int32_t Blocks::expected(int64_t row, int64_t column) const {
  int32_t sum = 0;
  for (int64_t i = 0; i < k && column < n; ++i)
    sum += int32_t{a[static_cast<size_t>(row * k + i)]} * int32_t{b[static_cast<size_t>(column * k + i)]};
  return sum;
}

bool Blocks::right() const {
  const std::vector<IntegerBlock> blocks = product();
  for (int64_t row = 0; row < block_rows; ++row) {
    for (int64_t column = 0; column < static_cast<int64_t>(blocks.size()) * block_columns; ++column) {
      const IntegerBlock& block = blocks[static_cast<size_t>(column / block_columns)];
      if (block[row * block_columns + column % block_columns] != expected(row, column)) return false;
    }
  }
  return true;
}

}  // namespace

TEST_CASE("strassen product: equals the plain sums, whatever the depth and the columns") {
  for (const int64_t k : {1, 2, 3, 15, 16, 17, 33, 64, 65, 384, 1027}) {
    for (const int64_t n :
         {int64_t{1}, strip_columns, strip_columns + 1, block_columns, 2 * block_columns + 3}) {
      INFO(k, " deep, ", n, " columns");
      CHECK(Blocks{int8_numbers(block_rows * k, 1), int8_numbers(n * k, 2), k, n}.right());
    }
  }
}

TEST_CASE("strassen product: chapter 17's example") {
  // One number in each quadrant, the others 0: halves of k are a vector of words long.
  const int64_t k = 4 * word_lanes, n = block_columns;
  Blocks blocks{std::vector<int8_t>(static_cast<size_t>(block_rows * k)),
                std::vector<int8_t>(static_cast<size_t>(n * k)), k, n};
  const auto put = [&](std::vector<int8_t>& matrix, int64_t below, int64_t numbers) {
    matrix[0] = static_cast<int8_t>(numbers / 1000);
    matrix[static_cast<size_t>(k / 2)] = static_cast<int8_t>(numbers / 100 % 10);
    matrix[static_cast<size_t>(below * k)] = static_cast<int8_t>(numbers / 10 % 10);
    matrix[static_cast<size_t>(below * k + k / 2)] = static_cast<int8_t>(numbers % 10);
  };
  put(blocks.a, tile_rows, 1234);
  put(blocks.b, strip_columns, 5768);  // columns of B are rows here
  const std::vector<IntegerBlock> product = blocks.product();
  const IntegerBlock& c = product[0];
  constexpr int64_t below = tile_rows * block_columns;
  CHECK(c[0] == 19);
  CHECK(c[strip_columns] == 22);
  CHECK(c[below] == 43);
  CHECK(c[below + strip_columns] == 50);
}

TEST_CASE("strassen product: sums that leave 32 bits on the way come back") {
  constexpr int64_t k = 80'000;  // M1 is 2^31 and a quarter, the result half of that
  for (const int8_t sign : {-127, 127})
    CHECK(Blocks{std::vector<int8_t>(block_rows * k, 127), std::vector<int8_t>(block_columns * k, sign), k,
                 block_columns}
              .right());
}

#endif

}  // namespace nabla
