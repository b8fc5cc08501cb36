// Built only with docs/add_an_op.md applied: did the page's op arrive, and was its case among those that ran?
#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>

#include "tests/ops/op_case.h"

// The page's line for make_ops.py, so that its numbers are there before anybody has followed the page.
// PyTorch: case("softplus", [(5, 9)], F.softplus, -6, 6)

namespace nabla {

TEST_CASE("docs/add_an_op.md gives softplus and its case") {
  const auto& cases = OpCase::all();
  CHECK(std::count_if(cases.begin(), cases.end(),
                      [](const OpCase& test) { return test.name == "softplus"; }) == 1);
  const Tensor x = Tensor::from<float>({-200, 0, 200}, {3});
  const Evaluation got = evaluate([](Inputs in) { return softplus(in[0]); }, {x}, {});
  CHECK(relative_error(got.output, Tensor::from<double>({0, std::log(2.0), 200}, {3})) < 1e-6);
  CHECK(relative_error(got.gradients[0], Tensor::from<double>({0, 0.5, 1}, {3})) < 1e-6);
}

}  // namespace nabla
