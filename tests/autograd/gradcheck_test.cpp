// gradcheck: it must be able to fail.
#include "autograd/gradcheck.h"

#include <doctest/doctest.h>

#include <cmath>

#include "autograd/ops/ops.h"
#include "tensor/ops.h"

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

TEST_CASE("gradcheck looks at every element of every input") {
  Generator generator(2);
  // The identity, whose backward is wrong at one element of one input.
  for (int64_t wrong = 0; wrong < 12; ++wrong) {
    const auto damaged = [wrong](const std::vector<Variable>& in) {
      return record("damaged", in[0].value() + in[1].value(), {in[0], in[1]},
                    [wrong](const Tensor& dy) -> Gradients {
                      Tensor left = dy.clone(), right = dy.clone();
                      (wrong < 6 ? left : right).data<double>()[wrong % 6] *= 1.001;
                      return {left, right};
                    });
    };
    const Tensor x = Tensor::normal({2, 3}, 0, 1, generator, Dtype::f64);
    const std::string place = fmt::format("input {} of (2, 3), element {}", wrong / 6, wrong % 6);
    CHECK_THROWS_WITH_AS(gradcheck(damaged, {x, x.clone()}, generator), doctest::Contains(place.c_str()),
                         Error);
  }
}

TEST_CASE("gradcheck sees gradients that cancel under a cotangent of ones") {
  Generator generator(3);
  const Tensor x = Tensor::from<double>({0.5, -1, 2}, {3});
  // x less its mean: the outputs add up to 0, so a backward that gives zeros is right for ones.
  const auto centred = [](const std::vector<Variable>& in) {
    return record("centred", in[0].value() - reduce(Reduce::mean, in[0].value(), {0}), {in[0]},
                  [](const Tensor& dy) -> Gradients { return Tensor::zeros(dy.shape(), Dtype::f64); });
  };
  CHECK_THROWS_AS(gradcheck(centred, {x}, generator), Error);
}

TEST_CASE("gradcheck is as strict with a small function as with a large one") {
  Generator generator(4);
  const Tensor x = Tensor::from<double>({0.5, -1, 2}, {3});
  for (const double slope : {1e-300, 1e-20, 1e-7, 1e-3, 1.0, 1e7, 1e20, 1e200}) {
    for (const double offset : {0.0, 1.0}) {
      if (offset != 0 && slope < 1e-3) continue;  // rounding of 1 hides the slope
      CAPTURE(slope);
      const auto claims = [&](double claimed) {
        return [slope, offset, claimed](const std::vector<Variable>& in) {
          return record("line", in[0].value() * slope + Tensor::full({3}, offset, Dtype::f64), {in[0]},
                        [=](const Tensor& dy) -> Gradients { return dy * claimed; });
        };
      };
      CHECK(gradcheck(claims(slope), {x}, generator) <= 1e-6);
      for (const double factor : {0.0, -1.0, 0.999, 1.001, 2.0}) {
        CHECK_THROWS_AS(gradcheck(claims(factor * slope), {x}, generator), Error);
      }
    }
  }
  // Of a slope that rounding does not hide, a gradient of 0 does not pass beside a large output.
  const auto shallow = [](const std::vector<Variable>& in) {
    return record("shallow", in[0].value() * 1e-7 + Tensor::ones({3}, Dtype::f64), {in[0]},
                  [](const Tensor& dy) -> Gradients { return dy * 0.0; });
  };
  CHECK_THROWS_AS(gradcheck(shallow, {x}, generator), Error);
}

TEST_CASE("gradcheck wants zeros where nothing depends on an input, and finite numbers") {
  Generator generator(5);
  const Tensor x = Tensor::from<double>({0.5, -1, 2}, {3});
  const auto constant = [](double claimed) {
    return [claimed](const std::vector<Variable>& in) {
      return record("constant", Tensor::full({3}, 7.0, Dtype::f64), {in[0]},
                    [=](const Tensor& dy) -> Gradients { return dy * claimed; });
    };
  };
  CHECK(gradcheck(constant(0), {x}, generator) == 0);
  for (const double wrong : {1e-9, 1.0, std::nan(""), HUGE_VAL}) {
    CHECK_THROWS_AS(gradcheck(constant(wrong), {x}, generator), Error);
  }
  const auto undefined = [](const std::vector<Variable>& in) { return log(in[0]); };  // of -1
  CHECK_THROWS_AS(gradcheck(undefined, {x}, generator), Error);
}

}  // namespace nabla
