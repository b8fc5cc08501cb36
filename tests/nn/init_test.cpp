#include "nn/init.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>

namespace nabla {
namespace {

struct Moments {
  double mean = 0, std = 0, smallest = 0, largest = 0;
};

Moments moments(const Variable& parameter) {
  const std::vector<double> values = parameter.value().to_vector<double>();
  Moments result;
  for (double value : values) result.mean += value / static_cast<double>(values.size());
  for (double value : values)
    result.std += std::pow(value - result.mean, 2) / static_cast<double>(values.size());
  result.std = std::sqrt(result.std);
  result.smallest = *std::min_element(values.begin(), values.end());
  result.largest = *std::max_element(values.begin(), values.end());
  return result;
}

}  // namespace

TEST_CASE("truncated_normal: mean, spread and cut") {
  const Variable parameter(Tensor::zeros({300, 300}), true);
  Generator generator(1);
  truncated_normal(parameter, 0.01, 0.03, generator);
  const Moments all = moments(parameter);
  // Cut at three standard deviations, the variance is 1 - 6 phi(3) / (1 - 2 Phi(-3)) = 0.97334 of
  // the whole one's.
  CHECK(std::abs(all.std / (0.01 * std::sqrt(0.97334)) - 1) < 0.01);
  CHECK(std::abs(all.mean) < 2e-4);
  CHECK(all.largest <= 0.03f);
  CHECK(all.smallest >= -0.03f);
  CHECK(all.largest > 0.029);
  CHECK(all.smallest < -0.029);

  truncated_normal(parameter, 1, 0.1, generator);  // nearly uniform
  CHECK(std::abs(moments(parameter).std - 0.1 / std::sqrt(3)) < 1e-3);
  CHECK(moments(parameter).largest <= 0.1f);
  CHECK_THROWS_AS(truncated_normal(parameter, 0, 1, generator), Error);
  CHECK_THROWS_AS(truncated_normal(parameter, 1, -1, generator), Error);
}

TEST_CASE("xavier_uniform: bounds from both fans, the kernel's area included") {
  Generator generator(1);
  const Variable matrix(Tensor::zeros({200, 100}), true), kernel(Tensor::zeros({20, 10, 4, 5}), true);
  xavier_uniform(matrix, generator);
  xavier_uniform(kernel, generator);
  for (const auto& [parameter, bound] :
       {std::pair{matrix, std::sqrt(6.0 / 300)}, {kernel, std::sqrt(6.0 / 600)}}) {
    const Moments all = moments(parameter);
    CHECK(std::abs(all.std / (bound / std::sqrt(3)) - 1) < 0.03);
    CHECK(std::abs(all.mean) < 0.03 * bound);
    CHECK(std::max(all.largest, -all.smallest) <= bound);
    CHECK(std::max(all.largest, -all.smallest) > 0.99 * bound);
  }
  CHECK_THROWS_AS(xavier_uniform(Variable(Tensor::zeros({3})), generator), Error);
}

TEST_CASE("xavier_uniform: a weight without elements is refused") {
  Generator generator(1);
  CHECK_THROWS_AS(xavier_uniform(Variable(Tensor::empty({0, 3}), true), generator), Error);
}

TEST_CASE("initialisers: the same seed gives the same values in every dtype") {
  const Variable a(Tensor::zeros({5, 3})), b(Tensor::zeros({5, 3}, Dtype::f64));
  Generator one(4), two(4), other(5);
  truncated_normal(a, 1, 2, one);
  truncated_normal(b, 1, 2, two);
  CHECK(a.value().to_vector<float>() == b.value().to_vector<float>());
  truncated_normal(b, 1, 2, other);
  CHECK(a.value().to_vector<float>() != b.value().to_vector<float>());
}

}  // namespace nabla
