#include <doctest/doctest.h>

#include "tests/ops/op_case.h"

namespace nabla {

namespace {

OpOptions row_options(const std::string& op) {
  return {.also = {{{1, 1}}, {{2, 33}}, {{0, 3}}, {{3, 0}}, {{8}}},
          .wrong = {{{Shape{}}, op + ": x of () has no axis"}}};
}

OpCase softmax_case{"softmax", {{2, 3, 7}}, [](Inputs in) { return softmax(in[0]); }, row_options("softmax")};
OpCase log_softmax_case{
    "log_softmax", {{2, 3, 7}}, [](Inputs in) { return log_softmax(in[0]); }, row_options("log_softmax")};
// Logits of which exp() overflows in f32.
OpCase softmax_large{"softmax.large", {{3, 5}}, [](Inputs in) { return softmax(in[0]); }};
OpCase log_softmax_large{"log_softmax.large", {{3, 5}}, [](Inputs in) { return log_softmax(in[0]); }};

}  // namespace

TEST_CASE("softmax, its logarithm and the cross entropy do not change with a constant added to a row") {
  // Eighths, to which 512 is added without rounding. e^512 is infinite in f32, e^-512 is 0.
  const Tensor x = Tensor::from<float>({0.125f, -1.5f, 2.25f, 0.5f, 1.75f, -0.875f}, {2, 3});
  const Tensor labels = Tensor::from<int64_t>({2, 0}, {2});
  const std::vector<OpFunction> functions{[](Inputs in) { return softmax(in[0]); },
                                          [](Inputs in) { return log_softmax(in[0]); },
                                          [&](Inputs in) { return cross_entropy(in[0], labels); }};
  for (const OpFunction& function : functions) {
    const Tensor cotangent = function({Variable(x)}).shape() == x.shape() ? x : Tensor();
    const Evaluation plain = evaluate(function, {x}, cotangent);
    for (double shift : {512.0, -512.0}) {
      CAPTURE(shift);
      const Evaluation shifted = evaluate(function, {x + shift}, cotangent);
      CHECK(shifted.output.to_vector<float>() == plain.output.to_vector<float>());
      CHECK(shifted.gradients[0].to_vector<float>() == plain.gradients[0].to_vector<float>());
    }
  }
}

}  // namespace nabla
