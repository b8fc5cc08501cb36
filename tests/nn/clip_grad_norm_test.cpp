#include "nn/optim/clip_grad_norm.h"

#include <cmath>

#include "tests/module_case.h"
#include "tests/view_kinds.h"

namespace nabla {

TEST_CASE("clip_grad_norm: PyTorch's norm and gradients") {
  for (const auto& [name, largest] : {std::pair{"clip_clipped", 0.1}, {"clip_kept", 100.0}}) {
    CAPTURE(name);
    std::vector<Variable> parameters;
    std::vector<Tensor> expected;
    for (int i = 0; i < 2; ++i) {
      const Tensor gradient = nn_reference(fmt::format("{}/grad.{}", name, i));
      parameters.emplace_back(Tensor::zeros(gradient.shape(), Dtype::f64), true);
      parameters.back().set_grad(gradient);
      expected.push_back(nn_reference(fmt::format("{}/after.{}", name, i)));
    }
    parameters.emplace_back(Tensor::zeros({3}, Dtype::f64), true);  // without a gradient
    const double norm = nn_reference(fmt::format("{}/norm", name)).item();
    CHECK(grad_norm(parameters) == doctest::Approx(norm).epsilon(1e-14));
    CHECK(clip_grad_norm(parameters, largest) == doctest::Approx(norm).epsilon(1e-14));
    for (size_t i = 0; i < 2; ++i) CHECK(relative_distance(parameters[i].grad(), expected[i]) < 1e-14);
    CHECK_FALSE(parameters[2].grad().defined());
  }
  CHECK(clip_factor(0, 0.1) == 1);
  CHECK(clip_factor(0.1, 0.1) == 0.1 / (0.1 + 1e-6));  // below 1 although the norm is the limit itself
  CHECK(grad_norm({Variable(Tensor::ones({2}), true)}) == 0);
}

TEST_CASE("clip_grad_norm: gradients of any strides") {
  Generator generator(5);
  const Tensor gradient = Tensor::normal({3, 4, 5}, 0, 1, generator, Dtype::f64);
  const Variable plain(Tensor::zeros({3, 4, 5}, Dtype::f64), true),
      other(Tensor::zeros({3, 4, 5}, Dtype::f64), true);
  for (const ViewKind& kind : views_of(gradient)) {
    INFO(kind.name);
    plain.set_grad(gradient);
    other.set_grad(kind.view);
    CHECK(clip_grad_norm({plain}, 0.1) == clip_grad_norm({other}, 0.1));
    CHECK(plain.grad().to_vector<double>() == other.grad().to_vector<double>());
    CHECK(kind.is_untouched_beside());
    CHECK(kind.view.to_vector<double>() == gradient.to_vector<double>());  // the caller's stays
  }
}

TEST_CASE("clip_grad_norm: a norm that is not finite is an error that changes nothing") {
  for (const double bad : {std::nan(""), double{INFINITY}}) {
    Variable parameter(Tensor::ones({2}), true);
    parameter.set_grad(Tensor::from(std::vector<double>{3, bad}, {2}).to(parameter.dtype()));
    CHECK_THROWS_WITH_AS(clip_grad_norm({parameter}, 0.1), doctest::Contains("cannot be clipped"), Error);
    CHECK(parameter.grad().to_vector<double>()[0] == 3);
    CHECK_THROWS_AS(clip_factor(bad, 0.1), Error);
    CHECK_FALSE(norm_and_clip_factor({parameter}, 0.1).slice(0, 1, 2).item() > 0);  // NaN, or 0
  }
  CHECK_THROWS_AS(clip_factor(1, std::nan("")), Error);
  CHECK_THROWS_AS(clip_factor(1, -1), Error);
}

}  // namespace nabla
