// The product of two matrices of many rows, the first transposed, at the edges of its tiles, blocks and depths.
#include "backends/cpu/transposed_product.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <vector>

#include "backends/cpu/pack_strip.h"
#include "tensor/kernels.h"
#include "tensor/ops.h"
#include "tensor/threads.h"
#include "tests/support.h"

namespace nabla {

namespace {

struct ProductSizes {
  int64_t m, n, k;
};

// Rows that fill tiles of 6 or do not, columns that fill strips and blocks of 384 or do not, depths beyond one part, an odd
// number of terms, one and several parts of k.
const std::vector<ProductSizes> product_sizes = {
    {6, 64, 256}, {7, 65, 257}, {385, 100, 301}, {100, 769, 511}, {60, 64, 4097}};

struct TwoMatrices {
  Tensor a, b;
};

TwoMatrices draw_matrices(const ProductSizes& size, Dtype dtype) {
  Generator generator(static_cast<uint64_t>(size.m + size.n + size.k));
  const double spread = 1 / std::sqrt(static_cast<double>(size.k));
  return {Tensor::normal({1, size.k, size.m}, 0, 1, generator).to(dtype),
          Tensor::normal({1, size.k, size.n}, 0, spread, generator).to(dtype)};
}

double worst_of_product(const Tensor& x, const Tensor& expected) {
  const auto a = x.to_vector<double>(), b = expected.to_vector<double>();
  double worst = 0;
  for (size_t i = 0; i < a.size(); ++i) worst = std::max(worst, std::abs(a[i] - b[i]) / (1 + std::abs(b[i])));
  return worst;
}

}  // namespace

TEST_CASE("transposed product: any number of rows, columns and terms") {
  for (const Dtype dtype : {Dtype::f32, Dtype::bf16}) {
    if (!has_transposed_product(dtype, 64, 64, 4096)) {
      skip("this processor has no transposed product of " + std::string(name_of(dtype)));
      continue;
    }
    for (const ProductSizes& size : product_sizes) {
      CAPTURE(size.m);
      CAPTURE(size.k);
      REQUIRE(has_transposed_product(dtype, size.m, size.n, size.k));
      const auto [a, b] = draw_matrices(size, dtype);
      const Tensor expected = matmul(a.to(Dtype::f64), true, b.to(Dtype::f64), false);
      for (const Dtype to : {dtype, Dtype::f32}) {
        const Tensor out = Tensor::full({1, size.m, size.n}, 7, to);
        transposed_product(a, b, size.m, size.n, size.k, out);
        CHECK(worst_of_product(out, expected) < (to == Dtype::f32 ? 1e-5 : 8e-3));
      }
      CHECK(worst_of_product(matmul(a, true, b, false), expected) < (dtype == Dtype::f32 ? 1e-5 : 8e-3));
    }
  }
}

TEST_CASE("transposed product: the same bits with any number of threads") {
  const int before = num_threads();
  for (const Dtype dtype : {Dtype::f32, Dtype::bf16}) {
    if (!has_transposed_product(dtype, 64, 64, 4096)) {
      skip("this processor has no transposed product of " + std::string(name_of(dtype)));
      continue;
    }
    for (const ProductSizes& size : {ProductSizes{400, 400, 700}, ProductSizes{60, 64, 4097}}) {
      const auto [a, b] = draw_matrices(size, dtype);
      std::vector<float> first;
      for (const int threads : {1, 2, 5, 32}) {
        set_num_threads(threads);
        const Tensor out = Tensor::full({1, size.m, size.n}, 7);  // in f32: rounding would hide a difference
        transposed_product(a, b, size.m, size.n, size.k, out);
        const std::vector<float> values = out.to_vector<float>();
        if (first.empty()) first = values;
        CHECK(std::memcmp(values.data(), first.data(), values.size() * sizeof(float)) == 0);
      }
      set_num_threads(before);
    }
  }
}

TEST_CASE("transposed product: few terms and few columns are left to others") {
  CHECK_FALSE(has_transposed_product(Dtype::f32, 64, 64, 255));
  CHECK_FALSE(has_transposed_product(Dtype::f32, 64, 63, 4096));
  CHECK_FALSE(has_transposed_product(Dtype::f32, 5, 64, 4096));
  CHECK_FALSE(has_transposed_product(Dtype::f64, 64, 64, 4096));
}

TEST_CASE("packed strips: the same bundles from a matrix and from its transpose") {
  if constexpr (has_register_product<float>) {
    constexpr int64_t lines = 37, columns = pack_columns - 3;
    std::vector<float> plain(lines * columns), turned(plain), from_plain(lines * pack_columns, 7),
        from_turned(from_plain);
    for (int64_t l = 0; l < lines; ++l) {
      for (int64_t c = 0; c < columns; ++c) {
        const auto value = static_cast<float>(1 + l * columns + c);
        plain[static_cast<size_t>(l * columns + c)] = turned[static_cast<size_t>(c * lines + l)] = value;
      }
    }
    pack_strips(plain.data(), columns, lines, columns, 0, from_plain.data());
    pack_transposed_strip(turned.data(), lines, lines, columns, from_turned.data());
    CHECK(from_plain == from_turned);
    CHECK(from_plain[pack_columns + 1] == 1 + columns + 1);
    CHECK(from_plain[pack_columns - 1] == 0);
  } else {
    skip("this processor has no packed product");
  }
}

}  // namespace nabla
