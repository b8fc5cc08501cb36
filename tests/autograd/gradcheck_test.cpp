// gradcheck: it must be able to fail.
#include "autograd/gradcheck.h"

#include <doctest/doctest.h>

#include "autograd/ops/ops.h"

namespace nabla {
namespace {

// 3 x, whose backward claims `slope`.
Variable triple(const Variable& x, double slope) {
  return record("triple", x.value() * 3.0, {x},
                [slope](const Tensor& dy) -> Gradients { return dy * slope; });
}

}  // namespace

TEST_CASE("gradcheck accepts a right derivative and names the element of a wrong one") {
  Generator generator(1);
  const Tensor x = Tensor::from<double>({0.5, -1, 2}, {3});
  const auto claims = [](double slope) {
    return [slope](const std::vector<Variable>& in) { return triple(in[0], slope); };
  };
  CHECK(gradcheck(claims(3), {x}, generator) < 1e-6);
  for (const double wrong : {-3.0, 0.0, 3.001, 2.99}) {
    CHECK_THROWS_WITH_AS(gradcheck(claims(wrong), {x}, generator),
                         doctest::Contains("input 0 of (3), element 0"), Error);
  }
}

TEST_CASE("gradcheck notices a gradient that never arrives, and wants f64") {
  Generator generator(1);
  const Tensor x = Tensor::from<double>({0.5, -1}, {2});
  const auto cut = [](const std::vector<Variable>& in) { return in[0] + triple(in[1].detach(), 3); };
  CHECK_THROWS_WITH_AS(gradcheck(cut, {x, x}, generator), doctest::Contains("input 1"), Error);
  CHECK_THROWS_WITH_AS(gradcheck(cut, {x.to(Dtype::f32), x}, generator), doctest::Contains("expected f64"),
                       Error);
}

}  // namespace nabla
