#include <doctest/doctest.h>

#include "tensor/io/safetensors.h"
#include "tests/ops/op_case.h"
#include "tests/support.h"

namespace nabla {

namespace {

OpCase linear_case{
    "linear",
    {{2, 3, 5}, {4, 5}, {4}},
    [](Inputs in) { return linear(in[0], in[1], in[2]); },
    {.also = {{{1, 1}, {1, 1}, {1}}, {{5}, {3, 5}, {3}}, {{7, 33}, {17, 33}, {17}}, {{0, 5}, {4, 5}, {4}}},
     .wrong = {{{{2, 5}, {4, 6}, {4}}, "linear: weight (4, 6) does not fit x (2, 5)"},
               {{{2, 5}, {4, 5}, {5}}, "linear: bias (5) does not fit weight (4, 5)"},
               {{{2, 5}, {5}, {5}}, "linear: weight (5) does not fit x (2, 5)"}}}};
OpCase linear_no_bias{"linear.no_bias",
                      {{3, 5}, {4, 5}},
                      [](Inputs in) { return linear(in[0], in[1], {}); },
                      {.also = {{{0, 5}, {4, 5}}, {{2, 1, 3}, {2, 3}}}}};
OpCase linear_residual{
    "linear.residual",
    {{2, 3, 5}, {4, 5}, {4}, {2, 3, 4}},
    [](Inputs in) {
      return linear(in[0], in[1], in[2], {in[3], {}});
    },
    {.also = {{{0, 5}, {4, 5}, {4}, {0, 4}}, {{7, 33}, {17, 33}, {17}, {7, 17}}},
     .wrong = {{{{2, 5}, {4, 5}, {4}, {2, 5}}, "linear: residual (2, 5) does not fit the output (2, 4)"}}}};
// The scale wants a gradient, which needs the branch alone.
OpCase linear_scaled_residual{
    "add.scaled_linear",
    {{2, 3, 5}, {4, 5}, {4}, {2, 3, 4}, {4}},
    [](Inputs in) {
      return linear(in[0], in[1], in[2], {in[3], in[4]});
    },
    {.also = {{{7, 33}, {17, 33}, {17}, {7, 17}, {17}}},
     .wrong = {{{{2, 5}, {4, 5}, {4}, {2, 4}, {5}}, "linear: scale (5) does not fit the output (2, 4)"}}}};
// Frozen, it is fused.
Variable quarters(const Variable& like) {
  return Variable(Tensor::full({like.shape().back()}, 1.0 / 4, like.dtype(), like.device()));
}
OpCase linear_frozen_scale{"linear.frozen_scale", {{2, 3, 5}, {4, 5}, {4}, {2, 3, 4}}, [](Inputs in) {
                             return linear(in[0], in[1], in[2], {in[3], quarters(in[3])});
                           }};

}  // namespace

// Weights that require no gradient are packed once; what was packed must not outlive their values.
TEST_CASE("linear: a frozen weight that is thawed, changed and frozen again counts with its new values") {
  const Variable x(Tensor::ones({3, 40})), weight(Tensor::ones({24, 40}));
  CHECK(linear(x, weight, {}).value().to_vector<float>()[5] == 40);
  weight.set_requires_grad(true);
  weight.value().copy_from(Tensor::full({24, 40}, 2.0));
  CHECK(linear(x, weight, {}).value().to_vector<float>()[5] == 80);
  weight.set_requires_grad(false);
  CHECK(linear(x, weight, {}).value().to_vector<float>()[5] == 80);
}

TEST_CASE("linear: a frozen weight of a mapped file is given back to the system and can still be read") {
  const TemporaryFolder folder;
  Generator generator(1);
  const Tensor saved = Tensor::uniform({512, 256}, -1, 1, generator);
  const Variable x(Tensor::uniform({3, 256}, -1, 1, generator));
  save_safetensors(folder / "weight.safetensors", {{"weight", saved}});
  const Variable weight(SafeTensors::load(folder / "weight.safetensors").get("weight"));
  const std::vector<float> expected = linear(x, Variable(saved), {}).value().to_vector<float>();
  for (int i = 0; i < 2; ++i) CHECK(linear(x, weight, {}).value().to_vector<float>() == expected);
  CHECK(weight.value().to_vector<float>() == saved.to_vector<float>());
}

}  // namespace nabla
