// Hooks: when they run, on what, and how they are taken away.
#include <doctest/doctest.h>

#include "autograd/ops/ops.h"

using namespace dinomaly;

namespace {
Variable scalar(double value) { return Variable(Tensor::full({1}, value, Dtype::f64), true); }
}  // namespace

TEST_CASE("several hooks run in the order of registration, each on what the one before returned") {
  const Variable x = scalar(1);
  x.register_hook([](const Tensor& g) { return g + 1.0; });
  x.register_hook([](const Tensor& g) { return g * 10.0; });
  sum(x * 2.0).backward();
  CHECK(x.grad().item() == 30);
}

TEST_CASE("a hook on a non-leaf used twice runs once, on the sum, before anything upstream sees it") {
  const Variable x = scalar(3);
  const Variable middle = x * 2.0;
  int calls = 0;
  double seen = 0;
  middle.register_hook([&](const Tensor& g) {
    ++calls;
    seen = g.item();
    return g * 0.1;
  });
  (middle * 5.0 + middle * 7.0).backward();
  CHECK(calls == 1);
  CHECK(seen == 12);
  CHECK(x.grad().item() == doctest::Approx(2.4));
}

TEST_CASE("a hook on a leaf used twice runs once, on the sum") {
  const Variable x = scalar(3);
  int calls = 0;
  x.register_hook([&](const Tensor& g) {
    ++calls;
    return g * 2.0;
  });
  (x * 5.0 + x * 7.0).backward();
  CHECK(calls == 1);
  CHECK(x.grad().item() == 24);
}

TEST_CASE("a retained gradient is the one after the hooks") {
  const Variable x = scalar(1);
  const Variable y = x * 3.0;
  y.retain_grad();
  y.register_hook([](const Tensor& g) { return g * 4.0; });
  sum(y).backward();
  CHECK(y.grad().item() == 4);
  CHECK(x.grad().item() == 12);
}

TEST_CASE("a hook on a view sees the view's shape") {
  const Variable x(Tensor::ones({2, 3}, Dtype::f64), true);
  const Variable view = transpose(x, 0, 1);
  Shape seen;
  view.register_hook([&](const Tensor& g) {
    seen = g.shape();
    return g * 2.0;
  });
  sum(view).backward();
  CHECK(seen == Shape{3, 2});
  CHECK(x.grad().to_vector<double>() == std::vector<double>(6, 2.0));
}

TEST_CASE("a removed hook is silent, twice removing is harmless, and one may remove itself while it runs") {
  const Variable x = scalar(1);
  HookHandle first = x.register_hook([](const Tensor& g) { return g * 100.0; });
  first.remove();
  first.remove();
  HookHandle self;
  int calls = 0;
  self = x.register_hook([&](const Tensor& g) {
    ++calls;
    self.remove();
    return g * 2.0;
  });
  x.register_hook([](const Tensor& g) { return g * 3.0; });
  sum(x * 1.0).backward();
  sum(x * 1.0).backward();
  CHECK(calls == 1);
  CHECK(x.grad().item() == 6 + 3);
}

TEST_CASE("a handle outlives its variable") {
  HookHandle handle;
  {
    const Variable x = scalar(1);
    handle = x.register_hook([](const Tensor& g) { return g; });
  }
  handle.remove();
  CHECK(true);  // reaching this line is the test
}

TEST_CASE("a hook that returns another shape or nothing is an error, and so is one on a constant") {
  const Variable x = scalar(1), y = x * 2.0, z = x * 2.0;
  y.register_hook([](const Tensor&) { return Tensor::zeros({2}, Dtype::f64); });
  CHECK_THROWS_WITH_AS(sum(y).backward(), doctest::Contains("hook"), Error);
  z.register_hook([](const Tensor&) { return Tensor(); });
  CHECK_THROWS_AS(sum(z).backward(), Error);
  CHECK_THROWS_AS(Variable(Tensor::zeros({1})).register_hook([](const Tensor& g) { return g; }), Error);
}
