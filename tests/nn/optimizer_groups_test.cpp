// StableAdamW's groups of parameters, its state, and steps that are skipped.
#include <doctest/doctest.h>

#include <cmath>

#include "nn/optim/clip_grad_norm.h"
#include "nn/optim/optimizer.h"
#include "tests/support.h"

namespace nabla {

TEST_CASE("StableAdamW: each group of parameters has its own learning rate") {
  const auto leaf = [](double value) { return Variable(Tensor::full({3}, value, Dtype::f64), true); };
  const std::vector<Variable> together{leaf(1), leaf(2), leaf(3)}, apart{leaf(1), leaf(2), leaf(3)};
  StableAdamW groups({{{together[1]}, 0.1}, {{together[0], together[1], together[2]}, 1}}, {});
  StableAdamW slow({apart[1]}), fast({apart[0], apart[2]});
  for (const double rate : {0.02, 0.05}) {
    for (size_t i = 0; i < 3; ++i) {
      const Tensor gradient = Tensor::full({3}, 0.3 * static_cast<double>(i + 1), Dtype::f64);
      together[i].set_grad(gradient);
      apart[i].set_grad(gradient);
    }
    groups.step(rate);
    slow.step(rate * 0.1);
    fast.step(rate);
  }
  for (size_t i = 0; i < 3; ++i)
    CHECK(together[i].value().to_vector<double>() == apart[i].value().to_vector<double>());
  CHECK_THROWS_AS(StableAdamW(std::vector<ParameterGroup>{}, {}), Error);
}

TEST_CASE("StableAdamW: a step whose gradients are not finite changes nothing and does not count") {
  for (const double bad : {std::nan(""), double{INFINITY}}) {
    const Variable parameter(Tensor::ones({2}), true), same(Tensor::ones({2}), true);
    StableAdamW disturbed({parameter}), undisturbed({same});
    for (const double gradient : {0.5, bad, 0.25}) {
      parameter.set_grad(Tensor::from(std::vector<double>{0.1, gradient}, {2}).to(Dtype::f32));
      disturbed.prepare(0.1);
      disturbed.update(norm_and_clip_factor({parameter}, 0.1).slice(0, 1, 2));
      if (gradient == bad || std::isnan(gradient)) continue;
      same.set_grad(parameter.grad());
      undisturbed.prepare(0.1);
      undisturbed.update(norm_and_clip_factor({same}, 0.1).slice(0, 1, 2));
    }
    const NamedTensors a = disturbed.state(), b = undisturbed.state();
    REQUIRE(a.size() == b.size());
    CHECK(a[0].second.item() == 2);
    for (size_t i = 0; i < a.size(); ++i)
      CHECK(a[i].second.to_vector<double>() == b[i].second.to_vector<double>());
    CHECK(parameter.value().to_vector<float>() == same.value().to_vector<float>());
  }
}

TEST_CASE("StableAdamW: the state goes on in another optimizer of the same groups") {
  const auto run = [](bool interrupted) {
    const Variable a(Tensor::ones({3}), true), b(Tensor::ones({2}), true);
    const std::vector<ParameterGroup> groups{{{a}, 0.1}, {{b}, 1}};
    StableAdamW first(groups, {}), second(groups, {});
    for (int step = 0; step < 4; ++step) {
      a.set_grad(Tensor::full({3}, 0.1 * (step + 1)));
      b.set_grad(Tensor::full({2}, 0.2 * (step + 1)));
      if (interrupted && step == 2) {
        const NamedTensors state = first.state();
        second.load_state({state.begin(), state.end()}, "state");
      }
      (interrupted && step >= 2 ? second : first).step(0.1);
    }
    return std::pair{a.value().to_vector<float>(), b.value().to_vector<float>()};
  };
  CHECK(run(true) == run(false));
}

TEST_CASE("optimizers: a state that lacks one tensor of a parameter is refused, and changes nothing") {
  const auto stepped = [](auto&& make, Dtype dtype) {
    const Variable p(Tensor::ones({3}, dtype), true);
    p.set_grad(Tensor::ones({3}, dtype));
    auto optimizer = make(p);
    optimizer.step(0.1);
    return optimizer.state();
  };
  const auto stable = [](bool amsgrad) {
    return [amsgrad](const Variable& p) {
      return StableAdamW(std::vector<Variable>{p}, StableAdamWOptions{.amsgrad = amsgrad});
    };
  };
  const auto refused = [](auto&& make, Dtype dtype, const NamedTensors& state) {
    const Variable p(Tensor::ones({3}, dtype), true);
    auto optimizer = make(p);
    const std::string error = input_error([&] {
      optimizer.load_state({state.begin(), state.end()}, "saved");
    });
    CHECK(optimizer.state().size() == 1);  // the number of steps
    return error;
  };
  CHECK(refused(stable(true), Dtype::f32, stepped(stable(false), Dtype::f32)) ==
        "saved: the optimizer's state has first_moment.0 but not max_second_moment.0");
  const auto without = [](NamedTensors state, const std::string& name) {
    std::erase_if(state, [&](const auto& entry) { return entry.first == name; });
    return state;
  };
  CHECK(refused(stable(true), Dtype::bf16, without(stepped(stable(true), Dtype::bf16), "master.0")) ==
        "saved: the optimizer's state has first_moment.0 but not master.0");
  const auto adam = [](const Variable& p) { return AdamW({p}); };
  CHECK(refused(adam, Dtype::f32, without(stepped(adam, Dtype::f32), "second_moment.0")) ==
        "saved: the optimizer's state has first_moment.0 but not second_moment.0");
}

TEST_CASE("SGD: the velocity of a bf16 parameter is f32, and its own state is taken") {
  const auto run = [](bool interrupted) {
    const Variable p(Tensor::ones({3}, Dtype::bf16), true);
    SGD first({p}, 0.9), second({p}, 0.9);
    for (int step = 0; step < 3; ++step) {
      p.set_grad(Tensor::full({3}, 0.25 * (step + 1), Dtype::bf16));
      if (interrupted && step == 2) {
        const NamedTensors state = first.state();
        second.load_state({state.begin(), state.end()}, "state");
      }
      (interrupted && step == 2 ? second : first).step(0.125);
    }
    return p.value().to_vector<float>();
  };
  const std::vector<float> values = run(false);
  CHECK(values == run(true));
  // v = 0.25, 0.725, 1.4025; p = 1 - v / 8, each rounded to bf16.
  CHECK(values[0] == doctest::Approx(0.703125));
}

}  // namespace nabla
