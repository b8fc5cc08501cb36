// Tiles of integer products, by each instruction that this processor has, against plain sums.
#include "backends/cpu/integer_product.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <type_traits>
#include <vector>

#include "tests/backends/int8_numbers.h"
#include "tests/support.h"

namespace nabla {

#if defined(__AVX2__) || defined(__aarch64__)

namespace {

// Whether a tile of a (6, k) and b (columns, k) is right, its missing columns included.
template <class Words>
bool tile_is_right(const std::vector<int8_t>& a, const std::vector<int8_t>& b, int64_t k, int64_t columns) {
  const int64_t words = words_for<Words>(k);
  std::vector<int32_t> rows(static_cast<size_t>(tile_rows * words)),
      panel(static_cast<size_t>(tile_columns * words), 77);
  auto* const elements = reinterpret_cast<typename Words::A*>(rows.data());
  for (int64_t r = 0; r < tile_rows; ++r) {
    for (int64_t i = 0; i < k; ++i) {
      elements[r * words * Words::elements + i] =
          static_cast<typename Words::A>(a[static_cast<size_t>(r * k + i)] + Words::offset);
    }
  }
  int32_t start[tile_columns];
  pack_panel<Words>(b.data(), columns, k, words, panel.data(), start);
  IntegerTile sums;
  integer_tile<Words>(rows.data(), panel.data(), words, start, sums);
  for (int64_t r = 0; r < tile_rows; ++r) {
    for (int64_t c = 0; c < tile_columns; ++c) {
      int32_t sum = 0;
      for (int64_t i = 0; i < k && c < columns; ++i)
        sum += int32_t{a[static_cast<size_t>(r * k + i)]} * int32_t{b[static_cast<size_t>(c * k + i)]};
      if (sums[r * tile_columns + c] != sum) return false;
    }
  }
  return true;
}

template <class Words>
void check_tiles() {
  for (const int64_t k : {1, 2, 3, 4, 5, 63, 64, 65, 384, 1027}) {
    for (const int64_t columns : {1, 15, 16, 33, 63, 64}) {
      INFO(k, " deep, ", columns, " columns");
      CHECK(tile_is_right<Words>(int8_numbers(tile_rows * k, 1), int8_numbers(columns * k, 2), k, columns));
    }
  }
  // Nothing saturates where all products are as large as can be, of either sign.
  for (const int8_t sign : {-127, 127}) {
    const std::vector<int8_t> a(tile_rows * 256, 127), b(tile_columns * 256, sign);
    CHECK(tile_is_right<Words>(a, b, 256, tile_columns));
  }
}

}  // namespace

#ifdef __aarch64__
TEST_CASE("integer product: tiles of bytes are exact") {
  if (multiplies_bytes()) return check_tiles<SignedBytes>();
  skip("no sdot: products of bytes");
}

TEST_CASE("integer product: tiles of blocks of bytes are exact") {
  if (multiplies_blocks()) return check_tiles<ByteBlocks>();
  skip("no smmla: products of blocks of bytes");
}
#else
TEST_CASE("integer product: tiles of bytes are exact") {
#ifdef __AVX2__
  if (multiplies_bytes()) return check_tiles<BytesInWords>();
#endif
  skip("no AVX512-VNNI or AVX-VNNI: products of bytes");
}
#endif

#endif

}  // namespace nabla
