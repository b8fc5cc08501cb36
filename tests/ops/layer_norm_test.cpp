#include <doctest/doctest.h>

#include "tests/ops/op_case.h"

namespace nabla {

namespace {

OpCase layer_norm_case{
    "layer_norm",
    {{2, 3, 17}, {17}, {17}},
    [](Inputs in) { return layer_norm(in[0], in[1], in[2], 1e-6); },
    {.also = {{{1, 1}, {1}, {1}}, {{4, 33}, {33}, {33}}, {{0, 5}, {5}, {5}}, {{8}, {8}, {8}}},
     .wrong = {{{{2, 5}, {4}, {5}}, "layer_norm: weight (4) and bias (5) do not fit x (2, 5)"},
               {{{2, 5}, {5}, {1, 5}}, "layer_norm: weight (5) and bias (1, 5) do not fit x (2, 5)"},
               {{{2, 0}, {0}, {0}}, "layer_norm: x (2, 0) has nothing to normalise"}}}};

}  // namespace

// Each thread sums dweight and dbias over its own rows.
TEST_CASE("layer_norm of more rows than one thread takes has the gradients of its formula") {
  Generator generator(5);
  const int64_t rows = 4001, width = 19;
  const Tensor x = Tensor::normal({rows, width}, 1, 2, generator, Dtype::f64);
  const Tensor weight = Tensor::normal({width}, 0, 1, generator, Dtype::f64);
  const Tensor cotangent = Tensor::normal({rows, width}, 0, 1, generator, Dtype::f64);
  const auto by_formula = [](Inputs in) {
    const Variable centred = in[0] - mean(in[0], {1}, true);
    return centred * rsqrt(mean(centred * centred, {1}, true) + 1e-6) * in[1] + in[2];
  };
  const Evaluation got = evaluate(layer_norm_case.function, {x, weight, weight}, cotangent),
                   expected = evaluate(by_formula, {x, weight, weight}, cotangent);
  CHECK(relative_error(got.output, expected.output) <= 1e-12);
  for (size_t i = 0; i < 3; ++i) CHECK(relative_error(got.gradients[i], expected.gradients[i]) <= 1e-12);
}

}  // namespace nabla
