#include <doctest/doctest.h>

#include <cmath>
#include <limits>

#include "tensor/ops.h"

using namespace nabla;

namespace {

// Reduction by the definition: one pass over all elements in double.
std::vector<double> reduced_by_definition(Reduce op, const Tensor& x, const std::vector<bool>& reduced) {
  int64_t kept = 1, count = 1;
  for (int axis = 0; axis < x.rank(); ++axis) (reduced[axis] ? count : kept) *= x.size(axis);
  std::vector<double> result(kept, op == Reduce::max ? -std::numeric_limits<double>::infinity() : 0.0);
  const auto values = x.to_vector<double>();
  const std::vector<int64_t> sizes(x.shape().begin(), x.shape().end());
  for (int64_t i = 0; i < x.numel(); ++i) {
    int64_t rest = i, place = 0, step = 1;
    for (int axis = static_cast<int>(sizes.size()) - 1; axis >= 0; --axis) {
      if (!reduced[axis]) {
        place += rest % sizes[axis] * step;
        step *= sizes[axis];
      }
      rest /= sizes[axis];
    }
    if (op == Reduce::max)
      result[place] = std::max(result[place], values[i]);
    else
      result[place] += op == Reduce::mean ? values[i] / count : values[i];
  }
  return result;
}

double distance(const Tensor& x, const std::vector<double>& expected) {
  const auto values = x.to_vector<double>();
  double error = 0;
  for (size_t i = 0; i < expected.size(); ++i) {
    error = std::max(error, std::abs(values[i] - expected[i]) / (1 + std::abs(expected[i])));
  }
  return values.size() == expected.size() ? error : INFINITY;
}

}  // namespace

TEST_CASE("reduce: every subset of axes, every op and dtype") {
  Generator generator(1);
  const Tensor wide = Tensor::uniform({3, 1, 19, 5}, -1, 1, generator, Dtype::f64);
  for (Dtype dtype : {Dtype::f32, Dtype::f64, Dtype::bf16}) {
    for (const Tensor& x : {wide.to(dtype), wide.to(dtype).permute({3, 0, 2, 1})}) {
      for (int subset = 1; subset < 16; ++subset) {
        std::vector<int> axes;
        std::vector<bool> reduced(4);
        Shape kept_shape = x.shape();
        for (int axis = 0; axis < 4; ++axis) {
          if ((subset >> axis & 1) == 0) continue;
          axes.push_back(axis % 2 == 0 ? axis : axis - 4);
          reduced[axis] = true;
          kept_shape[axis] = 1;
        }
        for (Reduce op : {Reduce::sum, Reduce::mean, Reduce::max}) {
          const double tolerance = dtype == Dtype::f64 ? 1e-14 : dtype == Dtype::f32 ? 2e-7 : 4e-3;
          CHECK(distance(reduce(op, x, axes), reduced_by_definition(op, x, reduced)) < tolerance);
          CHECK(reduce(op, x, axes, true).shape() == kept_shape);
        }
      }
    }
  }
}

TEST_CASE("reduce: long rows and columns, several pieces and blocks") {
  Generator generator(2);
  for (const Shape& shape : {Shape{1, 70001}, Shape{1501, 70}, Shape{40, 2000}, Shape{2, 70, 1100}}) {
    const Tensor x = Tensor::uniform(shape, -1, 1, generator);
    for (int axis = 0; axis < x.rank(); ++axis) {
      std::vector<bool> reduced(x.rank());
      reduced[axis] = true;
      for (Reduce op : {Reduce::sum, Reduce::mean, Reduce::max}) {
        CHECK(distance(reduce(op, x, {axis}), reduced_by_definition(op, x, reduced)) < 1e-7);
      }
    }
  }
}

TEST_CASE("reduce: a long f32 sum does not lose its small terms") {
  CHECK(reduce(Reduce::sum, Tensor::full({1 << 25}, 1.0)).item() == double(1 << 25));
  CHECK(reduce(Reduce::mean, Tensor::full({3000000}, 0.1)).item() == doctest::Approx(0.1f).epsilon(1e-7));
}

TEST_CASE("reduce: integers, bytes, NaN, nothing") {
  CHECK(reduce(Reduce::sum, Tensor::arange(10)).item() == 45);
  const Tensor hits = reduce(Reduce::sum, Tensor::ones({1000}, Dtype::u8));
  CHECK(hits.dtype() == Dtype::i64);
  CHECK(hits.item() == 1000);
  CHECK(reduce(Reduce::max, Tensor::arange(10)).item() == 9);
  const Tensor x = Tensor::from<float>({1, NAN, 3, 4}, {2, 2});
  const auto maxima = reduce(Reduce::max, x, {1}).to_vector<float>();
  CHECK_UNARY(std::isnan(maxima[0]));
  CHECK(maxima[1] == 4);
  CHECK(reduce(Reduce::max, Tensor::full({5}, -INFINITY)).item() == -INFINITY);
  CHECK(reduce(Reduce::sum, Tensor::empty({0, 3}), {0}).to_vector<float>() == std::vector<float>{0, 0, 0});
  CHECK(reduce(Reduce::max, Tensor::empty({0, 3}), {1}).shape() == Shape{0});
  CHECK_THROWS_WITH_AS(reduce(Reduce::mean, Tensor::empty({0, 3}), {0}),
                       "mean: nothing to reduce in shape (0, 3)", Error);
  CHECK_THROWS_WITH_AS(reduce(Reduce::sum, x, {1, -1}), "sum: axis -1 is given twice for shape (2, 2)",
                       Error);
  CHECK_THROWS_AS(reduce(Reduce::sum, x, {2}), Error);
}

TEST_CASE("reduce: the result never shares the input's memory") {
  const Tensor x = Tensor::ones({1, 3});
  const Tensor sum = reduce(Reduce::sum, x, {0});
  sum.fill(5);
  CHECK(x.to_vector<float>() == std::vector<float>{1, 1, 1});
  CHECK(reduce(Reduce::max, Tensor::full({}, 3)).item() == 3);
}

TEST_CASE("sum_to: undoes a broadcast") {
  const Tensor x = Tensor::arange(24, Dtype::f32).reshape({2, 3, 4});
  CHECK(sum_to(x, {4}).to_vector<float>() == std::vector<float>{60, 66, 72, 78});
  CHECK(sum_to(x, {3, 1}).to_vector<float>() == std::vector<float>{60, 92, 124});
  CHECK(sum_to(x, {}).item() == 276);
  CHECK(sum_to(x, {2, 3, 4}).storage() == x.storage());
  CHECK_THROWS_WITH_AS(sum_to(x, {2, 4}), "sum_to: shapes (2, 3, 4) and (2, 4) do not broadcast", Error);
}
