#include <doctest/doctest.h>

#include "tests/ops/op_case.h"

namespace nabla {

namespace {

OpOptions range(double low, double high) {
  return {.also = {{Shape{}}, {{1}}, {{33}}, {{0, 4}}}, .low = low, .high = high};
}

OpOptions up_to(double largest, OpOptions options) {
  options.largest = largest;
  return options;
}

const OpOptions anywhere = range(-6, 6);
const OpOptions positive = range(0.25, 4);

// PyTorch: case("neg", [(3, 7)], torch.neg)
OpCase neg_case{"neg", {{3, 7}}, [](Inputs in) { return neg(in[0]); }, anywhere};
// PyTorch: case("abs", [(3, 7)], torch.abs, draw=distinct)
OpCase abs_case{"abs", {{3, 7}}, [](Inputs in) { return abs(in[0]); }, anywhere};
// PyTorch: case("exp", [(3, 7)], torch.exp)
OpCase exp_case{"exp", {{3, 7}}, [](Inputs in) { return exp(in[0]); }, up_to(700, range(-2, 2))};
// PyTorch: case("log", [(3, 7)], torch.log, 0.25, 4)
OpCase log_case{"log", {{3, 7}}, [](Inputs in) { return log(in[0]); }, positive};
// PyTorch: case("sqrt", [(3, 7)], torch.sqrt, 0.25, 4)
OpCase sqrt_case{"sqrt", {{3, 7}}, [](Inputs in) { return sqrt(in[0]); }, positive};
// PyTorch: case("rsqrt", [(3, 7)], torch.rsqrt, 0.25, 4)
OpCase rsqrt_case{"rsqrt", {{3, 7}}, [](Inputs in) { return rsqrt(in[0]); }, positive};
// PyTorch: case("pow", [(3, 7)], lambda x: x**-1.5, 0.25, 4)
OpCase pow_case{"pow", {{3, 7}}, [](Inputs in) { return pow(in[0], -1.5); }, positive};
// PyTorch: case("pow.square", [(3, 7)], lambda x: x**2)
OpCase pow_square{"pow.square", {{3, 7}}, [](Inputs in) { return pow(in[0], 2); }, anywhere};
// PyTorch: case("pow.cube", [(3, 7)], lambda x: x**3)
OpCase pow_cube{"pow.cube", {{3, 7}}, [](Inputs in) { return pow(in[0], 3); }, range(-2, 2)};
// PyTorch: case("clamp", [(3, 7)], lambda x: torch.clamp(x, -0.7, 0.8))
OpCase clamp_case{"clamp", {{3, 7}}, [](Inputs in) { return clamp(in[0], -0.7, 0.8); }, anywhere};
// PyTorch: case("relu", [(3, 7)], torch.relu, draw=distinct)
OpCase relu_case{"relu", {{3, 7}}, [](Inputs in) { return relu(in[0]); }, anywhere};
// PyTorch: case("gelu", [(5, 9)], F.gelu, -6, 6)
OpCase gelu_case{"gelu", {{5, 9}}, [](Inputs in) { return gelu(in[0]); }, anywhere};
// PyTorch: case("silu", [(5, 9)], F.silu, -6, 6)
// [snippet: silu]
OpCase silu_case{"silu", {{5, 9}}, [](Inputs in) { return silu(in[0]); }, anywhere};
// [end]
// PyTorch: case("sigmoid", [(5, 9)], torch.sigmoid, -6, 6)
OpCase sigmoid_case{"sigmoid", {{5, 9}}, [](Inputs in) { return sigmoid(in[0]); }, anywhere};
// PyTorch: case("tanh", [(5, 9)], torch.tanh, -6, 6)
OpCase tanh_case{"tanh", {{5, 9}}, [](Inputs in) { return tanh(in[0]); }, anywhere};
// PyTorch: case("elu", [(5, 9)], F.elu, -6, 6)
OpCase elu_case{"elu", {{5, 9}}, [](Inputs in) { return elu(in[0]); }, anywhere};
// PyTorch: case("elu.alpha", [(3, 7)], lambda x: F.elu(x, 0.7))
OpCase elu_alpha{"elu.alpha", {{3, 7}}, [](Inputs in) { return elu(in[0], 0.7); }, anywhere};
// The derivative on the kink itself is 0, as PyTorch's.
// PyTorch: case("abs.kink", [(2,)], torch.abs, draw=fixed([0, 1]))
OpCase abs_kink{"abs.kink", {{2}}, [](Inputs in) { return abs(in[0]); }, {.finite_differences = false}};
// PyTorch: case("relu.kink", [(2,)], torch.relu, draw=fixed([0, 1]))
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
