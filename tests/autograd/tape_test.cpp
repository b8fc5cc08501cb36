// The tape: order, accumulation, release, modes.
#include <doctest/doctest.h>

#include "autograd/ops/ops.h"
#include "tensor/backend.h"

using namespace nabla;

namespace {
Variable leaf(const std::vector<double>& values) {
  return Variable(Tensor::from(values, {static_cast<int64_t>(values.size())}), true);
}
}  // namespace

TEST_CASE("a variable used several times gets the sum of all contributions") {
  const Variable x = leaf({2, 3});
  const Variable y = x * x + x;  // dy/dx = 2x + 1
  sum(y).backward();
  CHECK(x.grad().to_vector<double>() == std::vector<double>{5, 7});
}

TEST_CASE("a second backward() over new work adds to grad, zero_grad starts anew") {
  const Variable x = leaf({1, 2});
  sum(x * 3.0).backward();
  sum(x * 4.0).backward();
  CHECK(x.grad().to_vector<double>() == std::vector<double>{7, 7});
  x.zero_grad();
  CHECK_FALSE(x.grad().defined());
}

TEST_CASE("two leaves that receive the same gradient tensor do not share memory") {
  const Variable a = leaf({1}), b = leaf({1});
  sum(a + b).backward();
  a.grad().fill(9);
  CHECK(b.grad().item() == 1);
}

TEST_CASE("a released graph refuses a second backward()") {
  const Variable x = leaf({2});
  const Variable middle = x * x;
  sum(middle).backward();
  CHECK_THROWS_WITH_AS(sum(middle).backward(), doctest::Contains("already released"), Error);
  CHECK(x.grad().item() == 4);
}

TEST_CASE("a variable of several elements needs a gradient to start from, of its own shape") {
  const Variable x = leaf({1, 2, 3});
  CHECK_THROWS_WITH_AS((x * x).backward(), doctest::Contains("(3)"), Error);
  CHECK_THROWS_AS((x * x).backward(Tensor::ones({2}, Dtype::f64)), Error);
  (x * x).backward(Tensor::from(std::vector<double>{1, 0, 2}, {3}));
  CHECK(x.grad().to_vector<double>() == std::vector<double>{2, 0, 12});
}

TEST_CASE("no_grad records nothing, also inside an exception") {
  const Variable x = leaf({1});
  CHECK_FALSE(no_grad([&] { return x * x; }).requires_grad());
  try {
    no_grad([&]() -> int { throw std::runtime_error("out"); });
  } catch (const std::runtime_error&) {
  }
  CHECK((x * x).requires_grad());
}

TEST_CASE("detach cuts the history and keeps the value") {
  const Variable x = leaf({3});
  const Variable y = x * x.detach();
  sum(y).backward();
  CHECK(x.grad().item() == 3);
}

TEST_CASE("retain_grad keeps the gradient of a non-leaf") {
  const Variable x = leaf({3});
  const Variable squared = x * x, unkept = x * 1.0;
  squared.retain_grad();
  sum(squared * 5.0 + unkept).backward();
  CHECK(squared.grad().item() == 5);
  CHECK_FALSE(unkept.grad().defined());
}

TEST_CASE("requires_grad belongs to floating leaves") {
  CHECK_THROWS_AS(Variable(Tensor::zeros({1}, Dtype::i64), true), Error);
  const Variable x = leaf({1});
  CHECK_THROWS_AS((x * x).set_requires_grad(false), Error);
  CHECK_THROWS_AS((x * x).set_value(Tensor::zeros({1})), Error);
}

TEST_CASE("an op without backward says so instead of cutting the gradient") {
  const Variable x = leaf({1});
  const Variable y = non_differentiable("fast_thing", x.value().clone(), {x});
  CHECK_THROWS_WITH_AS(sum(y).backward(), doctest::Contains("fast_thing: has no gradient"), Error);
}

TEST_CASE("an op that throws in backward() leaves no half-summed gradient behind") {
  const Variable x = leaf({1});
  Variable y = x * 2.0;
  const HookHandle hook = y.register_hook([](const Tensor&) -> Tensor { throw std::runtime_error("hook"); });
  CHECK_THROWS_AS(sum(y + x).backward(), std::runtime_error);
  CHECK_FALSE(x.grad().defined());
  sum(x * 3.0).backward();
  CHECK(x.grad().item() == 3);
}

TEST_CASE("a chain of a million ops goes backward, and is dropped, without recursion or growing memory") {
  CachingAllocator& allocator = backend_for(Device::cpu()).allocator();
  const int64_t before = allocator.counters().live_blocks, nodes_before = tape_size();
  constexpr int length = 1'000'000;
  {
    const Variable x = leaf({1});
    Variable y = x;
    for (int i = 0; i < length; ++i) y = y + x;
    CHECK(tape_size() - nodes_before == length);
    const size_t live = allocator.counters().live_bytes;
    allocator.reset_peak();
    y.backward();
    CHECK(allocator.counters().peak_bytes < live + 100'000);
    CHECK(x.grad().item() == length + 1);
    CHECK(tape_size() == nodes_before);
  }
  {
    const Variable x = leaf({1});
    Variable y = x;
    for (int i = 0; i < length; ++i) y = y * 1.0;  // never walked: the destructors alone must not recurse
  }
  CHECK(tape_size() == nodes_before);
  CHECK(allocator.counters().live_blocks == before);
}

TEST_CASE("the tape keeps what ops saved and nothing else, and gives it back as backward() passes") {
  CachingAllocator& allocator = backend_for(Device::cpu()).allocator();
  const size_t before = allocator.counters().live_bytes;
  const Variable x(Tensor::ones({1 << 18}, Dtype::f64), true);  // 2 MiB
  Variable y = x;
  for (int i = 0; i < 50; ++i) y = exp(y * 0.0);  // exp saves its output; y * 0 is let go of at once
  const Variable loss = sum(y);
  y = {};
  allocator.reset_peak();
  const size_t live = allocator.counters().live_bytes;
  CHECK(live < before + 52 * x.value().bytes());
  loss.backward();
  CHECK(allocator.counters().peak_bytes < live + 6 * x.value().bytes());
  CHECK(allocator.counters().live_bytes < live - 45 * x.value().bytes());
}

TEST_CASE(
    "a product keeps how its input is made where that is cheap, and has the same gradients bit for bit") {
  CachingAllocator& allocator = backend_for(Device::cpu()).allocator();
  Generator generator(8);
  const auto draw = [&](const Shape& shape) {
    return Variable(Tensor::normal(shape, 0, 1, generator, Dtype::f64), true);
  };
  const Variable x = draw({512, 64}), weight = draw({64}), bias = draw({64}), square = draw({64, 64});
  const size_t activation = x.value().bytes();
  const auto branch = [&](const Variable& factor) {
    Generator drops(9);
    const Variable y = layer_norm(x, weight, bias, 1e-6);
    const Variable h = linear(factor.defined() ? y * factor : y, square, {});  // the product stops `again`
    const Variable z = dropout(gelu(h), 0.3, drops);
    return linear(factor.defined() ? z * factor : z, square, {});
  };
  const auto gradients = [&](const Variable& output) {
    for (const Variable& leaf : {x, weight, bias, square}) leaf.zero_grad();
    sum(output * output).backward();
    return std::vector<Tensor>{x.grad(), weight.grad(), bias.grad(), square.grad()};
  };
  const size_t before = allocator.counters().live_bytes;
  Variable output = branch({});
  const size_t kept = allocator.counters().live_bytes - before;
  CHECK(kept < activation * 5 / 2);  // h and the output; neither y nor gelu(h) nor what dropout left of it
  const std::vector<Tensor> short_way = gradients(output);
  output = {};
  const Variable one(Tensor::ones({1}, Dtype::f64));
  Variable other = branch(one);
  CHECK(allocator.counters().live_bytes - before > kept + activation * 3 / 2);
  const std::vector<Tensor> long_way = gradients(other);
  for (size_t i = 0; i < long_way.size(); ++i) {
    CHECK(short_way[i].to_vector<double>() == long_way[i].to_vector<double>());
  }
}

TEST_CASE("tensors freed in any order leave nothing live") {
  CachingAllocator& allocator = backend_for(Device::cpu()).allocator();
  const int64_t before = allocator.counters().live_blocks;
  {
    Generator generator(3);
    std::vector<Variable> pool{Variable(Tensor::ones({8}, Dtype::f64), true)};
    for (int i = 0; i < 500; ++i) {
      const Variable a = pool[generator.below(pool.size())], b = pool[generator.below(pool.size())];
      pool.push_back(generator.below(2) ? a + b : a * 0.5);
      if (pool.size() > 20)
        pool.erase(pool.begin() + static_cast<std::ptrdiff_t>(generator.below(pool.size())));
    }
  }
  CHECK(allocator.counters().live_blocks == before);
}
