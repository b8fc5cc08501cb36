// Joining, gathering and the batch rules of matmul; the other ops of tensor/ops.h have files of their own.
#include "tensor/ops.h"

#include <doctest/doctest.h>

#include <cmath>

using namespace nabla;

namespace {

Tensor counting_f64(const Shape& shape) { return Tensor::arange(shape.numel(), Dtype::f64).reshape(shape); }

// The product of two (rows, columns) matrices by the definition.
std::vector<double> product_by_definition(const Tensor& a, const Tensor& b) {
  const auto as = a.to_vector<double>(), bs = b.to_vector<double>();
  std::vector<double> out;
  for (int64_t row = 0; row < a.size(0); ++row) {
    for (int64_t column = 0; column < b.size(1); ++column) {
      double sum = 0;
      for (int64_t k = 0; k < a.size(1); ++k) sum += as[row * a.size(1) + k] * bs[k * b.size(1) + column];
      out.push_back(sum);
    }
  }
  return out;
}

}  // namespace

TEST_CASE("kth_largest: of all elements, any strides; k must be one i64, and there must be elements") {
  const Tensor x = counting_f64({2, 3}).transpose(0, 1);
  const auto k = [](int64_t value) { return Tensor::full({1}, value, Dtype::i64); };
  CHECK(kth_largest(x, k(1)).to_vector<double>() == std::vector<double>{5});
  CHECK(kth_largest(x, k(6)).to_vector<double>() == std::vector<double>{0});
  CHECK_THROWS_WITH_AS(kth_largest(x, Tensor::full({2}, 1, Dtype::i64)),
                       "kth_largest: k must be one i64, not i64 of shape (2)", Error);
  CHECK_THROWS_WITH_AS(kth_largest(Tensor::empty({0}), k(1)), "kth_largest: shape (0) has no elements",
                       Error);
}

TEST_CASE("cat: along every axis, of views, with empty parts") {
  const Tensor a = counting_f64({2, 3}), b = counting_f64({2, 1}) + 10.0;
  CHECK(cat({a, b}, 1).to_vector<double>() == std::vector<double>{0, 1, 2, 10, 3, 4, 5, 11});
  CHECK(cat({a, a.slice(0, 1, 2)}, 0).to_vector<double>() == std::vector<double>{0, 1, 2, 3, 4, 5, 3, 4, 5});
  CHECK(cat({a, Tensor::empty({2, 0}, Dtype::f64)}, -1).to_vector<double>() == a.to_vector<double>());
  CHECK(cat({a.transpose(0, 1), a.transpose(0, 1)}, 0).shape() == Shape{6, 2});
  CHECK_THROWS_WITH_AS(cat({a, b}, 0), "cat: shapes (2, 3) and (2, 1) do not join along axis 0", Error);
  CHECK_THROWS_WITH_AS(cat({}, 0), "cat: nothing to join", Error);
  CHECK_THROWS_AS(cat({a, counting_f64({2})}, 1), Error);
  CHECK_THROWS_AS(cat({a, a.to(Dtype::f32)}, 0), Error);
}

TEST_CASE("gather_rows: any order, repeats, bounds") {
  const Tensor x = counting_f64({3, 2});
  CHECK(gather_rows(x, {2, 0, 2}).to_vector<double>() == std::vector<double>{4, 5, 0, 1, 4, 5});
  CHECK(gather_rows(x, {}).shape() == Shape{0, 2});
  CHECK_THROWS_WITH_AS(gather_rows(x, {3}), "gather_rows: row 3 is out of range for shape (3, 2)", Error);
  CHECK_THROWS_AS(gather_rows(x, {-1}), Error);
  CHECK_THROWS_AS(gather_rows(Tensor::ones({}), {0}), Error);
}

TEST_CASE("matmul: transposed operands and the batch rules") {
  const Tensor a = counting_f64({2, 4, 3}) * 0.1, b = counting_f64({2, 3, 5}) * -0.2;
  const Tensor shared_a = counting_f64({4, 3}), shared_b = counting_f64({3, 5});
  const auto check_product = [](const Tensor& product, const auto& left, const auto& right) {
    REQUIRE(product.shape() == Shape{2, 4, 5});
    for (int64_t batch = 0; batch < 2; ++batch) {
      const auto expected = product_by_definition(left(batch), right(batch));
      const auto values = product.select(0, batch).to_vector<double>();
      for (size_t i = 0; i < expected.size(); ++i)
        CHECK(values[i] == doctest::Approx(expected[i]).epsilon(1e-12));
    }
  };
  const auto row = [](const Tensor& x) { return [x](int64_t batch) { return x.select(0, batch); }; };
  const auto same = [](const Tensor& x) { return [x](int64_t) { return x; }; };
  check_product(matmul(a, false, b, false), row(a), row(b));
  check_product(matmul(a.transpose(1, 2), true, b, false), row(a), row(b));
  check_product(matmul(a, false, b.transpose(1, 2), true), row(a), row(b));
  check_product(matmul(a.transpose(1, 2), true, b.transpose(1, 2), true), row(a), row(b));
  check_product(matmul(a, false, shared_b, false), row(a), same(shared_b));
  check_product(matmul(a.transpose(1, 2), true, shared_b, false), row(a), same(shared_b));
  check_product(matmul(shared_a, false, b, false), same(shared_a), row(b));
  CHECK(matmul(shared_a, false, shared_b, false).shape() == Shape{4, 5});
  CHECK(matmul(a.slice(1, 0, 0), false, b, false).shape() == Shape{2, 0, 5});
}

TEST_CASE("matmul: an epilogue of another dtype is refused, whatever the number of rows") {
  const Tensor b = Tensor::ones({8, 8}), wide = Tensor::ones({8}, Dtype::f64);
  for (const int64_t rows : {1, 64, 2048}) {
    const Tensor a = Tensor::ones({rows, 8});
    CHECK_THROWS_WITH_AS(matmul(a, false, b, true, {wide, {}, {}, {}}, true),
                         "matmul: bias, column scale or residual of f64 does not fit a product of f32",
                         Error);
    CHECK_THROWS_AS(matmul(a, false, b, true, {{}, {}, {}, Tensor::ones({rows, 8}, Dtype::bf16)}), Error);
  }
}

TEST_CASE("matmul: the epilogue is checked and follows the folded batch") {
  const Tensor a = counting_f64({2, 4, 3}), b = counting_f64({3, 5});
  const Tensor bias = counting_f64({5}), scale = counting_f64({5}) * 0.5, residual = counting_f64({2, 4, 5});
  const Tensor plain = matmul(a, false, b, false);
  const Tensor fused = matmul(a, false, b, false, {bias, Epilogue::Activation::none, scale, residual});
  const auto expected = (residual + scale * (plain + bias)).to_vector<double>(),
             values = fused.to_vector<double>();
  for (size_t i = 0; i < expected.size(); ++i)
    CHECK(values[i] == doctest::Approx(expected[i]).epsilon(1e-12));
  CHECK_THROWS_WITH_AS(matmul(a, false, b, false, {counting_f64({4}), {}, {}, {}}),
                       "matmul: bias or column scale of shape (4) does not fit the product (2, 4, 5)", Error);
  CHECK_THROWS_WITH_AS(matmul(a, false, b, false, {{}, {}, {}, counting_f64({4, 5})}),
                       "matmul: residual of shape (4, 5) does not fit the product (2, 4, 5)", Error);
}

TEST_CASE("is_finite: every floating dtype, every place, the largest numbers and views") {
  for (const Dtype dtype : {Dtype::f32, Dtype::f64, Dtype::bf16}) {
    const double largest = dtype == Dtype::f64 ? 1e308 : 3e38;
    const Tensor x = Tensor::full({3, 5}, -largest, dtype);
    x.slice(1, 0, 1).fill(0);
    CHECK(is_finite(x));
    for (const double bad : {double{NAN}, -double{NAN}, double{INFINITY}, -double{INFINITY}}) {
      for (int64_t i = 0; i < 15; ++i) {
        const Tensor y = x.clone();
        y.reshape({15}).slice(0, i, i + 1).fill(bad);
        CHECK_FALSE(is_finite(y));
        CHECK(is_finite(y.slice(1, 0, 2)) == (i % 5 >= 2));
      }
    }
  }
  CHECK(is_finite(Tensor::full({2}, -1, Dtype::i64)));
  CHECK(is_finite(Tensor()));
  CHECK(is_finite(Tensor::empty({0})));
}

TEST_CASE("matmul: errors carry both shapes") {
  const Tensor a = counting_f64({2, 4, 3});
  CHECK_THROWS_WITH_AS(matmul(a, false, counting_f64({4, 5}), false),
                       "matmul: shapes (2, 4, 3) and (4, 5) do not multiply", Error);
  CHECK_THROWS_WITH_AS(matmul(a, true, counting_f64({3, 5}), false),
                       "matmul: shapes (2, 4, 3)^T and (3, 5) do not multiply", Error);
  CHECK_THROWS_WITH_AS(matmul(a, false, counting_f64({3, 3, 5}), false),
                       "matmul: leading axes of (2, 4, 3) and (3, 3, 5) differ", Error);
  CHECK_THROWS_AS(matmul(a, false, counting_f64({3}), false), Error);
  CHECK_THROWS_AS(matmul(Tensor::arange(4).reshape({2, 2}), false, Tensor::arange(4).reshape({2, 2}), false),
                  Error);
}
