#include <doctest/doctest.h>

#include "tests/ops/op_case.h"

namespace nabla {

namespace {

OpOptions range(double low, double high) {
  return {.also = {{Shape{}}, {{1}}, {{33}}, {{0, 4}}}, .low = low, .high = high};
}

const OpOptions anywhere = range(-6, 6);
const OpOptions positive = range(0.25, 4);

OpCase neg_case{"neg", {{3, 7}}, [](Inputs in) { return neg(in[0]); }, anywhere};
OpCase abs_case{"abs", {{3, 7}}, [](Inputs in) { return abs(in[0]); }, anywhere};
OpCase exp_case{"exp", {{3, 7}}, [](Inputs in) { return exp(in[0]); }, range(-2, 2)};
OpCase log_case{"log", {{3, 7}}, [](Inputs in) { return log(in[0]); }, positive};
OpCase sqrt_case{"sqrt", {{3, 7}}, [](Inputs in) { return sqrt(in[0]); }, positive};
OpCase rsqrt_case{"rsqrt", {{3, 7}}, [](Inputs in) { return rsqrt(in[0]); }, positive};
OpCase pow_case{"pow", {{3, 7}}, [](Inputs in) { return pow(in[0], -1.5); }, positive};
OpCase pow_square{"pow.square", {{3, 7}}, [](Inputs in) { return pow(in[0], 2); }, anywhere};
OpCase pow_cube{"pow.cube", {{3, 7}}, [](Inputs in) { return pow(in[0], 3); }, range(-2, 2)};
OpCase clamp_case{"clamp", {{3, 7}}, [](Inputs in) { return clamp(in[0], -0.7, 0.8); }, anywhere};
OpCase relu_case{"relu", {{3, 7}}, [](Inputs in) { return relu(in[0]); }, anywhere};
OpCase gelu_case{"gelu", {{5, 9}}, [](Inputs in) { return gelu(in[0]); }, anywhere};
OpCase silu_case{"silu", {{5, 9}}, [](Inputs in) { return silu(in[0]); }, anywhere};
OpCase sigmoid_case{"sigmoid", {{5, 9}}, [](Inputs in) { return sigmoid(in[0]); }, anywhere};
OpCase tanh_case{"tanh", {{5, 9}}, [](Inputs in) { return tanh(in[0]); }, anywhere};
OpCase elu_case{"elu", {{5, 9}}, [](Inputs in) { return elu(in[0]); }, anywhere};
OpCase elu_alpha{"elu.alpha", {{3, 7}}, [](Inputs in) { return elu(in[0], 0.7); }, anywhere};
// The derivative on the kink itself is 0, as PyTorch's.
OpCase abs_kink{"abs.kink", {{2}}, [](Inputs in) { return abs(in[0]); }, {.finite_differences = false}};
OpCase relu_kink{"relu.kink", {{2}}, [](Inputs in) { return relu(in[0]); }, {.finite_differences = false}};

}  // namespace

TEST_CASE("the derivative of clamp is 1 on its bounds") {
  const Tensor x = Tensor::from<double>({-0.75, -0.5, 0, 0.75, 1}, {5});
  const Evaluation got = evaluate([](Inputs in) { return clamp(in[0], -0.5, 0.75); }, {x}, {});
  CHECK(got.output.to_vector<double>() == std::vector<double>{-0.5, -0.5, 0, 0.75, 0.75});
  CHECK(got.gradients[0].to_vector<double>() == std::vector<double>{0, 1, 1, 1, 0});
}

TEST_CASE("pointwise functions refuse integers, and clamp crossed bounds") {
  CHECK_THROWS_WITH_AS(exp(Variable(Tensor::arange(3))), "exp: expected a floating dtype, got i64", Error);
  CHECK_THROWS_WITH_AS(clamp(Variable(Tensor::ones({1})), 1, -1),
                       "clamp: the lower bound 1 is above the upper bound -1", Error);
}

}  // namespace nabla
