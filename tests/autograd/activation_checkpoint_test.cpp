// A checkpoint changes what is kept in memory and nothing else.
#include "autograd/activation_checkpoint.h"

#include <doctest/doctest.h>

#include "autograd/ops/ops.h"
#include "autograd/tape.h"
#include "tensor/backend.h"

using namespace nabla;

namespace {

using Function = std::function<Variable(const std::vector<Variable>&)>;

Variable direct(const Function& function, const std::vector<Variable>& inputs, Generator* = nullptr) {
  return function(inputs);
}

Variable drawn(const Shape& shape, uint64_t seed) {
  Generator generator(seed);
  return Variable(Tensor::normal(shape, 0, 0.5, generator), true);
}

void check_equal(const Tensor& a, const Tensor& b) {
  REQUIRE(a.defined());
  REQUIRE(b.defined());
  CHECK(a.to_vector<float>() == b.to_vector<float>());
}

// Runs `model(call, x, w)` with call = direct and with call = checkpoint on leaves of equal values.
template <class Model>
void compare(Model model) {
  const Variable x = drawn({6, 8}, 1), w = drawn({8, 8}, 2);
  const Variable x_again(x.value().clone(), true), w_again(w.value().clone(), true);
  const Variable plain = model(direct, x, w);
  const Variable saving = model(activation_checkpoint, x_again, w_again);
  check_equal(plain.value(), saving.value());
  plain.backward();
  saving.backward();
  check_equal(x.grad(), x_again.grad());
  check_equal(w.grad(), w_again.grad());
}

}  // namespace

TEST_CASE("a checkpoint gives the same gradients bit for bit") {
  compare([](auto call, const Variable& x, const Variable& w) {
    return sum(call([](const std::vector<Variable>& in) { return gelu(matmul(in[0], in[1])) * in[0]; },
                    {x, w}, nullptr));
  });
}

TEST_CASE("captured parameters, used inside and outside, in any order") {
  compare([](auto call, const Variable& x, const Variable& w) {
    const auto layer = [w](const std::vector<Variable>& in) {
      return tanh(matmul(sigmoid(matmul(in[0], w)), w));
    };
    const Variable h = call(layer, {matmul(x, w)}, nullptr);
    return sum(matmul(call(layer, {h}, nullptr), w) * h);
  });
}

TEST_CASE("nested checkpoints, which capture variables of the checkpoint around") {
  compare([](auto call, const Variable& x, const Variable& w) {
    const Variable outside = exp(x * 0.1);
    const auto outer = [=](const std::vector<Variable>& in) {
      const Variable middle = sigmoid(matmul(in[0], w));
      const auto inner = [=](const std::vector<Variable>& deep) {
        return matmul(deep[0], w) * middle + in[0] * outside;
      };
      return call(inner, {middle * 2.0}, nullptr) + middle;
    };
    return sum(call(outer, {tanh(x)}, nullptr) * outside);
  });
}

TEST_CASE("the second run drops what the first one dropped, and leaves the generator alone") {
  Generator first(5), second(5);
  const Variable x = drawn({64, 8}, 3);
  const Variable y(x.value().clone(), true);
  const auto function = [](Generator& generator) {
    return [&generator](const std::vector<Variable>& in) {
      return dropout(exp(dropout(in[0], 0.5, generator)), 0.25, generator);
    };
  };
  const Variable plain = sum(dropout(function(first)({x}), 0.5, first));
  const Variable saving = sum(dropout(activation_checkpoint(function(second), {y}, &second), 0.5, second));
  CHECK(plain.item() == saving.item());
  plain.backward();
  const uint64_t offset = second.offset();
  saving.backward();
  check_equal(x.grad(), y.grad());
  CHECK(second.offset() == offset);
  CHECK(second.offset() == first.offset());
}

TEST_CASE("a hook on a parameter runs once, on the sum over inside and outside") {
  const Variable w = drawn({4}, 4);
  std::vector<float> seen;
  int calls = 0;
  w.register_hook([&](const Tensor& gradient) {
    ++calls;
    seen = gradient.to_vector<float>();
    return gradient * 2.0;
  });
  const Variable inside = activation_checkpoint([w](const std::vector<Variable>&) { return w * 3.0; }, {});
  sum(inside + w).backward();
  CHECK(calls == 1);
  CHECK(seen == std::vector<float>(4, 4.0f));
  CHECK(w.grad().to_vector<float>() == std::vector<float>(4, 8.0f));
}

TEST_CASE(
    "a parameter is complete before a checkpoint that does not read it runs again, and after one that does") {
  const Variable inside = drawn({4}, 4), outside = drawn({4}, 5), nested = drawn({4}, 6);
  std::vector<std::string> order;
  const auto note = [&](const Variable& variable, const char* name) {
    variable.register_hook(
        [&order, name](const Tensor& gradient) { return order.push_back(name), gradient; });
  };
  const auto inner = [&](const std::vector<Variable>& in) { return in[0] * nested; };
  const auto function = [&, runs = 0](const std::vector<Variable>& in) mutable {
    if (runs++ > 0) order.emplace_back("again");
    return activation_checkpoint(inner, {in[0] * inside});
  };
  const Variable x = activation_checkpoint(function, {outside * 2.0});
  const Variable y = sum(x * nested * inside * outside);
  const Variable last = drawn({4}, 7);
  note(inside, "inside"), note(nested, "nested"), note(outside, "outside"), note(last, "last");
  (y * sum(last)).backward();
  REQUIRE(order.size() == 5);
  CHECK(order[0] == "last");
  CHECK(order[1] == "again");
  CHECK(order[4] == "outside");
}

TEST_CASE("gradients of a leaf that the op's entry does not name: late ones are refused, others wait") {
  const Variable x = drawn({4}, 4), w = drawn({4}, 5);
  const auto hidden = [&](const Variable& input) {  // reads w, and does not say so
    return record("hidden", input.value(), {input}, [w](const Tensor& dy) -> Gradients {
      const Variable copy(dy, true);
      Variable again;
      {
        const EnableGrad recording;
        again = copy * w;
      }
      return gradients_of(again, dy, {copy})[0];
    });
  };
  int calls = 0;
  w.register_hook([&](const Tensor& gradient) { return ++calls, gradient; });
  sum(hidden(x)).backward();
  CHECK(calls == 1);
  CHECK_THROWS_WITH_AS(sum(hidden(x) * w).backward(), doctest::Contains("the op's entry does not name it"),
                       Error);
}

TEST_CASE("hooks on inputs and on variables inside run once") {
  const Variable x = drawn({4}, 4);
  int outer = 0, inner = 0;
  const Variable h = x * 1.0;
  h.register_hook([&](const Tensor& gradient) { return ++outer, gradient; });
  const Variable y = activation_checkpoint(
      [&](const std::vector<Variable>& in) {
        in[0].register_hook([&](const Tensor& gradient) { return ++inner, gradient * 5.0; });
        return in[0] * 2.0;
      },
      {h});
  sum(y).backward();
  CHECK(outer == 1);
  CHECK(inner == 1);
  CHECK(x.grad().to_vector<float>() == std::vector<float>(4, 10.0f));
}

TEST_CASE("inputs that are undefined, unused, returned as they are, or constant") {
  const Variable x = drawn({3}, 6), unused = drawn({3}, 7);
  const Variable same =
      activation_checkpoint([](const std::vector<Variable>& in) { return in[0]; }, {x, Variable(), unused});
  sum(same).backward();
  CHECK(x.grad().to_vector<float>() == std::vector<float>(3, 1.0f));
  CHECK_FALSE(unused.grad().defined());
  const auto twice = [](const std::vector<Variable>& in) { return in[0] * 2.0; };
  CHECK_FALSE(activation_checkpoint(twice, {x.detach()}).requires_grad());
  CHECK_FALSE(no_grad([&] { return activation_checkpoint(twice, {x}); }).requires_grad());
}

TEST_CASE("a second backward, another shape and gradients_of outside a walk are errors") {
  const Variable x = drawn({3}, 8);
  const int64_t before = tape_size();
  const Variable y =
      sum(activation_checkpoint([](const std::vector<Variable>& in) { return exp(in[0]); }, {x}));
  CHECK(tape_size() == before + 2);
  y.backward();
  CHECK(tape_size() == before);
  CHECK_THROWS_AS(y.backward(), Error);
  int runs = 0;
  const Variable odd = activation_checkpoint(
      [&runs](const std::vector<Variable>& in) { return slice(in[0], 0, runs++, 3); }, {x});
  CHECK_THROWS_WITH_AS(odd.backward(Tensor::ones({3})), "checkpoint: the function gave (3) first and (2) now",
                       Error);
  CHECK_THROWS_AS(gradients_of(x * 2.0, Tensor::ones({3}), {x}), Error);
  CHECK(GradMode::enabled());
}

TEST_CASE("a deep chain peaks far lower with checkpoints") {
  CachingAllocator& allocator = backend_for(Device::cpu()).allocator();
  const auto peak_of = [&](auto call) {
    const Variable w1 = drawn({64, 16}, 9), w2 = drawn({16, 64}, 10);
    const auto segment = [&](const std::vector<Variable>& in) {
      Variable h = in[0];
      for (int layer = 0; layer < 4; ++layer) h = h + mlp(h, {w1, {}}, {w2, {}});
      return h;
    };
    const size_t live = allocator.counters().live_bytes;
    allocator.reset_peak();
    Variable h = drawn({512, 16}, 11);
    for (int i = 0; i < 8; ++i) h = call(segment, {h}, nullptr);
    sum(h).backward();
    CHECK(allocator.counters().live_bytes <= live + h.value().bytes() * 2 + 3 * w1.value().bytes() * 2);
    return allocator.counters().peak_bytes - live;
  };
  const size_t plain = peak_of(direct), saving = peak_of(activation_checkpoint);
  CAPTURE(plain);
  CAPTURE(saving);
  CHECK(saving * 3 < plain);
}

TEST_CASE("a captured parameter that the function returns as a view gets its gradient") {
  const Variable w(Tensor::ones({2, 3}), true), x(Tensor::full({6}, 2.0), true);
  const Variable y =
      activation_checkpoint([&](const std::vector<Variable>&) { return reshape(w, {6}); }, {x});
  (sum(y * x) + sum(w)).backward();
  CHECK(w.grad().to_vector<float>() == std::vector<float>(6, 3));
  const Variable again =
      activation_checkpoint([&](const std::vector<Variable>&) { return reshape(w, {6}); }, {x});
  const Variable loss = sum(again * x);
  w.value().fill(5);
  CHECK_THROWS_AS(loss.backward(), Error);
}
