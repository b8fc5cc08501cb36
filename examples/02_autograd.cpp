// 02: gradients by a tape: recorded forwards, walked backwards.
//
//   build/bin/02_autograd
//
// Expected output:
//   y = a * exp(b) + a at a = 2, b = 0 is 4.0; 3 ops on the tape: exp, mul, add
//   dy/da = exp(b) + 1 = 2.0, dy/db = a exp(b) = 2.0; 0 ops left on the tape
//   The hook on exp(b) saw 2.0 and returned half of it: dy/db = 1.0, dy/da = 2.0 as before
//   Under no_grad: 0 ops on the tape, the result requires a gradient: no
//   gradcheck of cube, dx = dy * 3 x^2: right
//   gradcheck of cube, dx = dy * 2 x^2: wrong, and it says where: input 0 of (2, 3), element 0
#include <string>

#include "autograd/gradcheck.h"
#include "autograd/ops/ops.h"

using namespace nabla;

static Variable scalar(double value) { return {Tensor::full({}, value), true}; }

// Every op records its name, its inputs and how to turn dy into their gradients (record() in tape.h).
static void by_hand() {
  const Variable a = scalar(2), b = scalar(0);
  const Variable e = exp(b), product = a * e, y = product + a;
  const auto name = [](const Variable& variable) { return variable.state()->node->name; };
  fmt::print("y = a * exp(b) + a at a = 2, b = 0 is {:.1f}; {} ops on the tape: {}, {}, {}\n", y.item(),
             tape_size(), name(e), name(product), name(y));
  y.backward();  // add: dy to product and a; mul: to a (the sum is 2) and e; exp: to b
  fmt::print("dy/da = exp(b) + 1 = {:.1f}, dy/db = a exp(b) = {:.1f}; {} ops left on the tape\n",
             a.grad().item(), b.grad().item(), tape_size());
}

// A hook replaces the gradient of one variable, on its way to everything upstream of it and nothing else.
static void hook() {
  const Variable a = scalar(2), b = scalar(0);
  const Variable e = exp(b);
  double seen = 0;
  // [snippet: hook]
  const HookHandle handle = e.register_hook([&](const Tensor& gradient) {
    seen = gradient.item();
    return gradient * 0.5;
  });
  // [end]
  (a * e + a).backward();
  fmt::print("The hook on exp(b) saw {:.1f} and returned half of it: ", seen);
  fmt::print("dy/db = {:.1f}, dy/da = {:.1f} as before\n", b.grad().item(), a.grad().item());
}

static void unrecorded() {
  const Variable a = scalar(2);
  const Variable y = no_grad([&] { return exp(a) * a; });
  fmt::print("Under no_grad: {} ops on the tape, the result requires a gradient: {}\n", tape_size(),
             y.requires_grad() ? "yes" : "no");
}

// A custom op: the value, the inputs, and the gradient. What the lambda captures is what is saved.
static Variable cube(const Variable& x, double factor) {
  const Tensor value = x.value();
  return record("cube", value * value * value, {x},
                [value, factor](const Tensor& dy) -> Gradients { return dy * value * value * factor; });
}

// The gradient predicts the effect of a small change of x, so change x a little and compare.
static void check_cube(double factor) {
  Generator generator(1);
  const Tensor x = Tensor::uniform({2, 3}, 1, 2, generator, Dtype::f64);
  fmt::print("gradcheck of cube, dx = dy * {:.0f} x^2: ", factor);
  try {
    gradcheck([&](const std::vector<Variable>& in) { return cube(in[0], factor); }, {x}, generator);
    fmt::print("right\n");
  } catch (
      const Error& error) {  // "gradcheck: input 0 of (2, 3), element 0: gradient G, finite difference D"
    const std::string message = error.what();
    const size_t begin = message.find("input"), end = message.rfind(": gradient");
    fmt::print("wrong, and it says where: {}\n", message.substr(begin, end - begin));
  }
}

int main() {
  by_hand();
  hook();
  unrecorded();
  check_cube(3);
  check_cube(2);
}
