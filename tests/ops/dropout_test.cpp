#include <doctest/doctest.h>

#include "tests/ops/op_case.h"

namespace nabla {

namespace {

// PyTorch's side multiplies by a mask that make_ops.py draws with its own Philox.
Variable seeded_dropout(Inputs in) {
  Generator generator(7, 5);
  return dropout(in[0], 0.3, generator);
}

OpCase dropout_case{"dropout", {{5, 9}}, seeded_dropout, {.also = {{{1}}, {{33}}, {{0, 3}}, {Shape{}}}}};

}  // namespace

TEST_CASE("dropout advances the generator by its elements, so that two calls differ") {
  Generator generator(3);
  const Variable x(Tensor::ones({6}, Dtype::f64));
  dropout(x, 0.5, generator);
  CHECK(generator.offset() == 2);  // 6 words, 4 a block
  const Variable long_x(Tensor::ones({1000}, Dtype::f64));
  const auto first = dropout(long_x, 0.5, generator).value().to_vector<double>();
  const auto second = dropout(long_x, 0.5, generator).value().to_vector<double>();
  CHECK(first != second);
}

TEST_CASE("dropout keeps the share and the mean it says") {
  Generator generator(4);
  const auto y = dropout(Variable(Tensor::ones({20000})), 0.2, generator).value().to_vector<double>();
  double kept = 0;
  for (double value : y) {
    const bool expected = value == 0 || value == doctest::Approx(1.25);
    CHECK_MESSAGE(expected, value);
    kept += value != 0;
  }
  CHECK(kept / 20000 == doctest::Approx(0.8).epsilon(0.02));
  const Variable x(Tensor::ones({3}));
  CHECK(dropout(x, 0, generator).value().to_vector<double>() == std::vector<double>{1, 1, 1});
  CHECK_THROWS_WITH_AS(dropout(x, 1, generator), "dropout: the probability 1 is not in [0, 1)", Error);
  CHECK_THROWS_WITH_AS(dropout(x, -0.5, generator), "dropout: the probability -0.5 is not in [0, 1)", Error);
}

}  // namespace nabla
