#include "nn/optim/optimizer.h"

#include <cmath>
#include <map>
#include <memory>

#include "autograd/ops/ops.h"
#include "nn/optim/clip_grad_norm.h"
#include "tests/module_case.h"
#include "tests/support.h"
#include "tests/view_kinds.h"

namespace nabla {
namespace {

// Takes the steps of a case and compares the parameters after each with PyTorch's. With gradient_scale s the
// optimizer gets the gradients divided by s.
template <class Algorithm, class... Args>
void check_optimizer(const std::string& name, Dtype dtype, Device device, double tolerance,
                     double gradient_scale, Args... args) {
  CAPTURE(name);
  const auto get = [&](const std::string& key) { return nn_reference(name + "/" + key); };
  const std::vector<std::string> keys{"a", "b"};
  std::vector<Variable> parameters;
  for (const std::string& key : keys) parameters.emplace_back(get(key).to(dtype).clone().to(device), true);
  Algorithm optimizer(parameters, args...);
  const std::vector<double> rates = nn_reference(name + "/rates").to_vector<double>();
  REQUIRE(rates.size() == 6);
  for (size_t step = 0; step < rates.size(); ++step) {
    CAPTURE(step);
    for (size_t i = 0; i < keys.size(); ++i) {
      const Tensor gradient = get(fmt::format("{}.grad.{}", keys[i], step)).to(dtype).to(device);
      parameters[i].set_grad(gradient * (1 / gradient_scale));
    }
    optimizer.step(rates[step], gradient_scale);
    for (size_t i = 0; i < keys.size(); ++i) {
      CHECK(relative_distance(parameters[i].value(), get(fmt::format("{}.{}", keys[i], step))) < tolerance);
    }
  }
}

template <class Algorithm, class... Args>
void check_dtypes_and_scales(const std::string& name, Args... args) {
  check_optimizer<Algorithm>(name, Dtype::f64, Device::cpu(), 1e-13, 1.0, args...);
  check_optimizer<Algorithm>(name, Dtype::f64, Device::cpu(), 1e-13, 0.25, args...);
  check_optimizer<Algorithm>(name, Dtype::f32, Device::cpu(), 1e-6, 1.0, args...);
}

}  // namespace

TEST_CASE("SGD: PyTorch's parameters after every step") {
  check_dtypes_and_scales<SGD>("sgd");
  check_dtypes_and_scales<SGD>("sgd_momentum", 0.9, 0.1);
}

TEST_CASE("AdamW: PyTorch's parameters after every step") {
  check_dtypes_and_scales<AdamW>("adamw", AdamOptions{0.8, 0.95, 1e-3, 0.1});
}

TEST_CASE(
    "StableAdamW: the formula's parameters, where the largest second moment counts and where rms exceeds 1") {
  check_dtypes_and_scales<StableAdamW>("stable_adamw_paper", StableAdamWOptions{0.9, 0.999, 1e-10, 0.1});
  check_dtypes_and_scales<StableAdamW>("stable_adamw_large_eps", StableAdamWOptions{0.9, 0.999, 1e-2, 0.1});
}

TEST_CASE("StableAdamW without AMSGrad: the formula's parameters, and a state without a largest moment") {
  check_dtypes_and_scales<StableAdamW>("stable_adamw_no_amsgrad",
                                       StableAdamWOptions{0.9, 0.999, 1e-10, 0.1, false});
  const Variable parameter(Tensor::ones({2}), true);
  StableAdamW optimizer({parameter}, StableAdamWOptions{.amsgrad = false});
  parameter.set_grad(Tensor::ones({2}));
  optimizer.step(0.1);
  std::vector<std::string> names;
  for (const auto& [name, tensor] : optimizer.state()) names.push_back(name);
  CHECK(names == std::vector<std::string>{"steps", "first_moment.0", "second_moment.0"});
}

TEST_CASE("optimizers on CUDA: PyTorch's parameters after every step") {
  if (!has_cuda("steps of the optimizers")) return;
  for (double scale : {1.0, 0.25}) {
    check_optimizer<SGD>("sgd_momentum", Dtype::f32, Device::cuda(), 1e-6, scale, 0.9, 0.1);
    check_optimizer<AdamW>("adamw", Dtype::f32, Device::cuda(), 1e-6, scale,
                           AdamOptions{0.8, 0.95, 1e-3, 0.1});
    check_optimizer<StableAdamW>("stable_adamw_paper", Dtype::f32, Device::cuda(), 1e-6, scale,
                                 StableAdamWOptions{0.9, 0.999, 1e-10, 0.1});
    check_optimizer<StableAdamW>("stable_adamw_large_eps", Dtype::f32, Device::cuda(), 1e-6, scale,
                                 StableAdamWOptions{0.9, 0.999, 1e-2, 0.1});
  }
}

TEST_CASE("StableAdamW: a tensor with rms above 1 takes a smaller step, and its neighbour does not") {
  const std::vector<Variable> parameters{{Tensor::zeros({4}, Dtype::f64), true},
                                         {Tensor::zeros({4}, Dtype::f64), true}};
  StableAdamW optimizer(parameters, {.eps = 0, .weight_decay = 0});
  for (const Variable& parameter : parameters) parameter.set_grad(Tensor::full({4}, 1e-3, Dtype::f64));
  optimizer.step(0);  // moments only
  parameters[0].set_grad(Tensor::full({4}, 1.0, Dtype::f64));
  optimizer.step(0.1);
  const double v = 0.999 * (0.001 * 1e-6) + 0.001, root = std::sqrt(v / (1 - 0.999 * 0.999));
  const double rms = 1 / root, m = 0.9 * (0.1 * 1e-3) + 0.1;
  REQUIRE(rms > 1.4);
  CHECK(parameters[0].value().to_vector<double>()[3] ==
        doctest::Approx(-0.1 / (1 - 0.81) / rms * m / root).epsilon(1e-12));
  CHECK(parameters[1].value().to_vector<double>()[3] == doctest::Approx(-0.1).epsilon(1e-12));
}

TEST_CASE("StableAdamW: the rms also divides by the largest second moment, not by the current one") {
  const Variable parameter(Tensor::zeros({3}, Dtype::f64), true);
  StableAdamW optimizer({parameter}, {.beta1 = 0, .beta2 = 0.9, .eps = 0, .weight_decay = 0});
  parameter.set_grad(Tensor::from<double>({1, 1e-3, 1e-3}, {3}));
  optimizer.step(0);                                           // moments only
  parameter.set_grad(Tensor::from<double>({0.2, 2, 2}, {3}));  // the first one's second moment falls: 0.094
  optimizer.step(0.1);
  const double correction = 1 - 0.9 * 0.9, largest = 0.1, others = 0.9 * 0.1e-6 + 0.1 * 4;
  const double first = 0.2 / std::sqrt(largest / correction), other = 2 / std::sqrt(others / correction);
  const double rms = std::sqrt((first * first + 2 * other * other) / 3);
  REQUIRE(rms > 1.1);
  CHECK(parameter.value().to_vector<double>()[0] == doctest::Approx(-0.1 / rms * first).epsilon(1e-12));
  CHECK(parameter.value().to_vector<double>()[1] == doctest::Approx(-0.1 / rms * other).epsilon(1e-12));
}

TEST_CASE("StableAdamW: bf16 parameters move by steps far below their own resolution") {
  const Variable narrow(Tensor::ones({64}, Dtype::bf16), true), wide(Tensor::ones({64}), true);
  StableAdamW a({narrow}, {.weight_decay = 0}), b({wide}, {.weight_decay = 0});
  for (int i = 0; i < 200; ++i) {  // each changes a value near 1 by 1e-4; bf16 has steps of 4e-3 there
    narrow.set_grad(Tensor::ones({64}, Dtype::bf16));
    wide.set_grad(Tensor::ones({64}));
    a.step(1e-4);
    b.step(1e-4);
  }
  CHECK(wide.value().to_vector<float>()[63] == doctest::Approx(0.98).epsilon(1e-3));
  CHECK(narrow.value().to_vector<double>() == wide.value().to(Dtype::bf16).to_vector<double>());
}

TEST_CASE("optimizers: a parameter without gradient stays; zero_grad clears; constants are refused") {
  const Variable with(Tensor::ones({2}), true), without(Tensor::ones({2}), true);
  const auto check_steps = [&](Optimizer& optimizer) {
    with.set_value(Tensor::ones({2}));
    with.set_grad(Tensor::ones({2}));
    optimizer.step(0.1);
    CHECK(with.value().to_vector<float>()[0] < 1);
    CHECK(without.value().to_vector<float>() == std::vector<float>{1, 1});
    optimizer.zero_grad();
    CHECK_FALSE(with.grad().defined());
    optimizer.step(0.1);  // nothing to do
  };
  SGD sgd({with, without});
  AdamW adamw({with, without});
  StableAdamW stable({with, without});
  check_steps(sgd);
  check_steps(adamw);
  check_steps(stable);
  CHECK_THROWS_AS(SGD({Variable(Tensor::ones({2}))}), Error);
  CHECK_THROWS_AS(StableAdamW({affine(with, 2, 0)}), Error);
}

namespace {

using MakeOptimizer = std::function<std::unique_ptr<Optimizer>(std::vector<Variable>)>;

const std::map<std::string, MakeOptimizer>& optimizers() {
  static const std::map<std::string, MakeOptimizer> all = {
      {"SGD", [](auto parameters) { return std::make_unique<SGD>(parameters, 0.9, 0.1); }},
      {"AdamW", [](auto parameters) { return std::make_unique<AdamW>(parameters); }},
      {"StableAdamW", [](auto parameters) { return std::make_unique<StableAdamW>(parameters); }},
  };
  return all;
}

// The value after two steps with these gradients.
Tensor after_steps(const MakeOptimizer& make, const Tensor& value, const Tensor& gradient) {
  const Variable parameter(value, true);
  const auto optimizer = make({parameter});
  for (const double rate : {0.1, 0.05}) {
    parameter.set_grad(gradient);
    optimizer->step(rate, 0.5);
  }
  return parameter.value();
}

}  // namespace

TEST_CASE("optimizers: parameters and gradients of any strides; nothing beside them is written") {
  Generator generator(3);
  for (const Dtype dtype : {Dtype::f32, Dtype::bf16, Dtype::f64}) {
    for (const Shape& shape : {Shape{3, 4}, Shape{2, 3, 5}, Shape{7}, Shape{0, 2}}) {
      const Tensor value = Tensor::normal(shape, 0, 1, generator, dtype);
      const Tensor gradient = Tensor::normal(shape, 0, 1, generator, dtype);
      for (const auto& [name, make] : optimizers()) {
        const std::vector<double> expected = after_steps(make, value.clone(), gradient).to_vector<double>();
        // Vector and scalar code may round the last bit in two ways.
        const auto check_close = [&](const Tensor& got) {
          const std::vector<double> values = got.to_vector<double>();
          for (size_t i = 0; i < expected.size(); ++i)
            CHECK(values[i] == doctest::Approx(expected[i]).epsilon(dtype == Dtype::bf16 ? 1e-2 : 1e-6));
        };
        for (const ViewKind& kind : views_of(value)) {
          INFO(name, " in ", std::string(name_of(dtype)), ", the parameter is ", kind.name);
          check_close(after_steps(make, kind.view, gradient));
          CHECK(kind.is_untouched_beside());
        }
        for (const ViewKind& kind : views_of(gradient)) {
          INFO(name, " in ", std::string(name_of(dtype)), ", the gradient is ", kind.name);
          check_close(after_steps(make, value.clone(), kind.view));
          CHECK(kind.view.to_vector<double>() == gradient.to_vector<double>());
        }
        for (const Tensor& expanded : expanded_views(gradient)) {
          INFO(name, ", a gradient of strides ", expanded.strides().to_string());
          CHECK(after_steps(make, value.clone(), expanded).to_vector<double>() ==
                after_steps(make, value.clone(), expanded.clone()).to_vector<double>());
        }
      }
    }
  }
}

TEST_CASE("optimizers: an expanded parameter is refused, and so is a value that the state does not fit") {
  for (const auto& [name, make] : optimizers()) {
    INFO(name);
    const Variable expanded(Tensor::ones({3, 1}).expand({3, 4}), true);
    CHECK_THROWS_WITH_AS(
        make({expanded}),
        "optimizer: an expanded parameter of shape (3, 4) and strides (1, 0) cannot be written", Error);
    const Variable grown(Tensor::ones({2}), true);
    const auto optimizer = make({grown});
    const auto step = [&](const Tensor& value) {
      grown.set_value(value);
      grown.set_grad(Tensor::ones(value.shape(), value.dtype()));
      optimizer->step(0.1);
    };
    step(Tensor::ones({2}));
    CHECK_THROWS_WITH_AS(step(Tensor::ones({3000})), doctest::Contains("f32 (3000) on cpu now"), Error);
    CHECK_THROWS_WITH_AS(step(Tensor::ones({2}, Dtype::f64)), doctest::Contains("f64 (2) on cpu now"), Error);
  }
}

TEST_CASE("optimizers: two parameters that share memory are refused, neighbours in one storage are not") {
  for (const auto& [name, make] : optimizers()) {
    INFO(name);
    const Tensor storage = Tensor::ones({4, 6});
    const auto view = [&](int64_t begin, int64_t end) {
      return Variable(storage.slice(0, begin, end), true);
    };
    CHECK_NOTHROW(make({view(0, 2), view(2, 3), view(3, 4)}));
    const std::vector<std::pair<Variable, Variable>> shared{
        {view(0, 2), view(1, 3)},
        {view(0, 4), view(2, 3)},
        {view(1, 2), view(1, 2)},
        {view(0, 4), Variable(storage.transpose(0, 1), true)}};
    for (const auto& [a, b] : shared) {
      const Variable apart(Tensor::ones({2}), true);
      CHECK_THROWS_WITH_AS(make({a, apart, b}), doctest::Contains("share memory"), Error);
      CHECK_THROWS_WITH_AS(make({b, a}), doctest::Contains("share memory"), Error);
    }
  }
}

TEST_CASE("optimizers and clipping: a parameter that is listed twice counts once") {
  const auto value_after = [](const MakeOptimizer& make, bool twice) {
    const Variable w(Tensor::ones({3}, Dtype::f64), true), b(Tensor::ones({2}, Dtype::f64), true);
    const auto optimizer = make(twice ? std::vector<Variable>{w, b, w, w} : std::vector<Variable>{w, b});
    for (int i = 0; i < 3; ++i) {
      w.set_grad(Tensor::full({3}, 0.5, Dtype::f64));
      b.set_grad(Tensor::full({2}, 0.5, Dtype::f64));
      optimizer->step(0.1);
    }
    return w.value().to_vector<double>();
  };
  for (const auto& [name, make] : optimizers()) {
    INFO(name);
    CHECK(value_after(make, true) == value_after(make, false));
  }
  const Variable w(Tensor::ones({4}), true);
  const std::vector<Variable> twice{w, w};
  w.set_grad(Tensor::ones({4}));
  CHECK(grad_norm(twice) == 2);
  CHECK(norm_and_clip_factor(twice, 1).to_vector<double>()[0] == 2);
  CHECK(clip_grad_norm(twice, 1) == 2);
  CHECK(w.grad().to_vector<float>()[0] == doctest::Approx(0.5).epsilon(1e-5));
}

}  // namespace nabla
