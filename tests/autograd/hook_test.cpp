// Hooks: when they run, on what, and how they are removed.
#include <doctest/doctest.h>

#include <string>
#include <vector>

#include "autograd/ops/ops.h"

using namespace nabla;

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

TEST_CASE("a hook removed by an earlier one still runs in that pass, as it was registered, and never after") {
  const Variable x = scalar(1);
  HookHandle second;
  x.register_hook([&](const Tensor& g) {
    second.remove();
    return g + 1.0;
  });
  second = x.register_hook([](const Tensor& g) { return g * 10.0; });
  sum(x * 1.0).backward();
  CHECK(x.grad().item() == 20);
  x.zero_grad();
  sum(x * 1.0).backward();
  CHECK(x.grad().item() == 2);
}

TEST_CASE("a hook registered by a hook waits for the next pass") {
  const Variable x = scalar(1);
  HookHandle once;
  once = x.register_hook([&](const Tensor& g) {
    once.remove();
    x.register_hook([](const Tensor& later) { return later * 5.0; });
    return g;
  });
  sum(x * 1.0).backward();
  CHECK(x.grad().item() == 1);
  x.zero_grad();
  sum(x * 1.0).backward();
  CHECK(x.grad().item() == 5);
}

TEST_CASE("removing one of three hooks leaves the order of the others") {
  const Variable x = scalar(1);
  x.register_hook([](const Tensor& g) { return g + 1.0; });
  HookHandle middle = x.register_hook([](const Tensor& g) { return g * 0.0; });
  x.register_hook([](const Tensor& g) { return g * 10.0; });
  middle.remove();
  sum(x * 1.0).backward();
  CHECK(x.grad().item() == 20);
}

TEST_CASE("a hook's replacement goes to every input, an observing hook changes nothing") {
  const Variable a = scalar(2), b = scalar(5);
  const Variable product = a * b;
  std::vector<double> seen;
  product.register_hook([&](const Tensor& g) {
    seen.push_back(g.item());
    return g;
  });
  product.register_hook([](const Tensor& g) { return g * 3.0; });
  product.register_hook([&](const Tensor& g) {
    seen.push_back(g.item());
    return g;
  });
  sum(product).backward();
  CHECK(seen == std::vector<double>{1, 3});
  CHECK(a.grad().item() == 15);
  CHECK(b.grad().item() == 6);
}

TEST_CASE("hooks of a chain run from the output back, each before what lies upstream of it") {
  const Variable x = scalar(1);
  const Variable y = x * 2.0, z = y * 3.0;
  std::vector<std::string> order;
  const auto note = [&](const char* name) {
    return [&order, name](const Tensor& g) {
      order.push_back(name);
      return g;
    };
  };
  x.register_hook(note("x"));
  y.register_hook(note("y"));
  z.register_hook(note("z"));
  sum(z + y).backward();
  CHECK(order == std::vector<std::string>{"z", "y", "x"});
}

TEST_CASE("a leaf's hook runs as soon as no op is left that adds to its gradient") {
  const Variable x = scalar(1), first = scalar(2), second = scalar(3), shared = scalar(4);
  std::vector<std::string> order;
  const auto note = [&](const Variable& variable, const char* name) {
    variable.register_hook([&order, name](const Tensor& g) {
      order.push_back(name);
      return g;
    });
  };
  const Variable y = x * shared, z = y * first, w = z * shared * second;
  note(first, "first"), note(second, "second"), note(shared, "shared"), note(x, "x");
  note(y, "y"), note(z, "z"), note(w, "w");
  w.backward();
  CHECK(order == std::vector<std::string>{"w", "second", "z", "first", "y", "shared", "x"});
  CHECK(shared.grad().item() == 2 * 4 * 2 * 3);
}

TEST_CASE("a leaf whose op gets no gradient has none, and nobody waits for it") {
  const Variable x = scalar(1), w = scalar(2);
  const Variable cut = record("cut", x.value() * w.value(), {x, w}, [](const Tensor& dy) -> Gradients {
    return {dy, Tensor()};
  });
  bool seen = false;
  w.register_hook([&](const Tensor& g) { return seen = true, g; });
  (cut * 3.0).backward();
  CHECK(x.grad().item() == 3);
  CHECK_FALSE(w.grad().defined());
  CHECK_FALSE(seen);
}

TEST_CASE("an op that throws leaves every leaf's gradient as it was") {
  const Variable x = scalar(1), w = scalar(2);
  const Variable broken =
      record("broken", x.value(), {x}, [](const Tensor&) -> Gradients { fail("broken"); });
  bool seen = false;
  w.register_hook([&](const Tensor& g) { return seen = true, g; });
  CHECK_THROWS_AS((broken * w).backward(), Error);
  CHECK(seen);
  CHECK_FALSE(w.grad().defined());
}

TEST_CASE("a hook on one of two views changes that view's share alone") {
  const Variable x(Tensor::ones({4}, Dtype::f64), true);
  const Variable left = slice(x, 0, 0, 3), right = slice(x, 0, 1, 4);
  left.register_hook([](const Tensor& g) { return g * 10.0; });
  (sum(left) + sum(right)).backward();
  CHECK(x.grad().to_vector<double>() == std::vector<double>{10, 11, 11, 1});
}

TEST_CASE("a hook on one operand of a sum leaves the other one alone") {
  const Variable a = scalar(1), b = scalar(1);
  const Variable left = a * 1.0, right = b * 1.0;
  left.register_hook([](const Tensor& g) { return g * 7.0; });
  sum(left + right).backward();  // add hands one tensor to both
  CHECK(a.grad().item() == 7);
  CHECK(b.grad().item() == 1);
}
