// What ops saved must be in the backward pass what it was, and gradients must be of their variable's kind.
#include "autograd/saved_tensors.h"

#include <doctest/doctest.h>

#include <functional>
#include <map>

#include "autograd/activation_checkpoint.h"
#include "autograd/ops/ops.h"
#include "nn/layers.h"
#include "nn/optim/clip_grad_norm.h"
#include "nn/optim/optimizer.h"

namespace nabla {

namespace {

Variable leaf_of(std::vector<double> values) {
  const auto count = static_cast<int64_t>(values.size());
  return Variable(Tensor::from(values, {count}), true);
}

std::string backward_error(const Variable& y) {
  try {
    y.backward();
  } catch (const Error& error) {
    return error.what();
  }
  return "";
}

bool has(const std::string& text, const std::string& part) { return text.find(part) != std::string::npos; }

struct Net : Module {
  Net() : first(add<Linear>("first", 3, 4)), second(add<Linear>("second", 4, 1)) {
    Generator generator(1);
    for (const Variable& p : parameters()) p.set_value(Tensor::normal(p.shape(), 0, 1, generator));
  }
  Variable operator()(const Variable& x) const { return sum(second(tanh(first(x)))); }
  Linear& first;
  Linear& second;
};

Variable drawn(const Shape& shape, bool requires_grad = false) {
  Generator generator(7);
  return Variable(Tensor::normal(shape, 0, 1, generator), requires_grad);
}

}  // namespace

TEST_CASE(
    "saved: a value changed in place before backward() is an error that names op, tensor and versions") {
  const Variable x = leaf_of({3});
  const Variable y = x * x;
  const uint64_t before = x.value().version();
  add_(x.value(), Tensor::full({1}, 10, Dtype::f64));
  CHECK(backward_error(y) ==
        fmt::format("mul: its input 0, f64 (1), was changed in place after the op had saved it "
                    "for the backward pass: version {} then, {} now",
                    before, before + 1));
  CHECK_FALSE(x.grad().defined());
  (x * x).backward();  // new work is fine
  CHECK(x.grad().item() == 26);
}

TEST_CASE("saved: every way to change a value is noticed, through any view") {
  const std::map<std::string, std::function<void(const Variable&)>> changes = {
      {"fill", [](const Variable& x) { x.value().fill(1); }},
      {"copy_from", [](const Variable& x) { x.value().copy_from(Tensor::ones(x.shape(), x.dtype())); }},
      {"add_", [](const Variable& x) { add_(x.value(), Tensor::ones(x.shape(), x.dtype())); }},
      {"a slice", [](const Variable& x) { x.value().slice(0, 1, 2).fill(1); }},
      {"a reshaped view",
       [](const Variable& x) {
         x.value().reshape({3, 1}).transpose(0, 1).fill(1);
       }},
      {"a detached variable", [](const Variable& x) { x.detach().value().fill(1); }},
      {"a view op",
       [](const Variable& x) {
         reshape(x, {1, 3}).value().fill(1);
       }},
      {"set_value", [](const Variable& x) { x.set_value(Tensor::ones(x.shape(), x.dtype())); }},
      {"a raw pointer, said so",
       [](const Variable& x) {
         x.value().data<double>()[0] = 9;
         x.value().mark_written();
       }},
  };
  for (const auto& [name, change] : changes) {
    INFO(name);
    const Variable x = leaf_of({1, 2, 3});
    x.set_name("weight");
    const Variable y = sum(exp(x) * x);
    change(x);
    CHECK(has(backward_error(y), "mul: its input 1 'weight', f64 (3), was "));
  }
}

TEST_CASE("saved: a changed output counts where the op saved it, and only there") {
  const Variable x = leaf_of({1, 2});
  const Variable saved = softmax(x), y = sum(saved);
  saved.value().fill(0);
  CHECK(has(backward_error(y), "softmax: its output, f64 (2), was changed in place"));
  const Variable free = x + 1.0, z = sum(free);
  free.value().fill(0);  // no derivative needs it
  z.backward();
  CHECK(x.grad().to_vector<double>() == std::vector<double>{1, 1});
}

TEST_CASE("saved: what an op keeps besides its inputs is watched, too") {
  const Tensor condition = Tensor::from(std::vector<uint8_t>{1, 0}, {2});
  const Variable a = leaf_of({1, 2}), b = leaf_of({3, 4});
  const Variable chosen = sum(where(condition, a, b));
  condition.fill(1);
  CHECK(has(backward_error(chosen), "where: a tensor it keeps, u8 (2), was changed in place"));

  const Tensor labels = Tensor::from(std::vector<int64_t>{0, 1}, {2});
  const Variable logits(Tensor::zeros({2, 2}), true);
  const Variable loss = cross_entropy(logits, labels);
  labels.fill(0);  // it has its own copy
  loss.backward();
  CHECK(logits.grad().to_vector<float>() == std::vector<float>{-0.25f, 0.25f, 0.25f, -0.25f});
}

TEST_CASE("saved: a tensor that is made again from what another op saved is watched, too") {
  Generator drops(3);
  const Variable x = drawn({4, 3}, true), weight(Tensor::ones({2, 3}), true);
  const Variable y = sum(linear(dropout(gelu(x), 0.5, drops), weight, {}));
  x.value().fill(1);  // from which the product makes its input in the backward pass
  CHECK(has(backward_error(y), "was changed in place"));
}

TEST_CASE("saved: an optimizer's step between forward and backward is an error that names the parameter") {
  const auto check_step = [](const char* name, const std::function<void(Net&)>& step) {
    INFO(name);
    Net net;
    const Variable x = drawn({2, 3});
    net(x).backward();
    const Variable loss = net(x);
    step(net);
    const std::string message = backward_error(loss);
    CHECK_MESSAGE(has(message, "linear: its input 1 'second.weight', f32 (1, 4), was changed in place"),
                  message);
    const Variable again = net(x);
    CHECK(backward_error(again).empty());
  };
  check_step("SGD", [](Net& net) { SGD(net.parameters(), 0.9).step(0.1); });
  check_step("AdamW", [](Net& net) { AdamW(net.parameters()).step(0.1); });
  check_step("StableAdamW", [](Net& net) { StableAdamW(net.parameters()).step(0.1); });
  // Weights that are loaded replace the values: the graph of the old ones goes no further.
  Net net, other;
  const Variable loss = net(drawn({2, 3}));
  std::map<std::string, Tensor> values;
  for (const auto& [name, value] : other.state_dict()) values[name] = value;
  net.load_state_dict(values, "other");
  CHECK(has(backward_error(loss), "'second.weight', f32 (1, 4), was given another value"));
}

TEST_CASE("saved: training, clipping, loading and filling in their places raise no false alarm") {
  Net net;
  const Variable x = drawn({2, 3});
  SGD sgd(net.parameters(), 0.9);
  AdamW adamw(net.parameters());
  StableAdamW stable(net.parameters());
  for (int i = 0; i < 3; ++i) {
    for (Optimizer* optimizer : std::vector<Optimizer*>{&sgd, &adamw, &stable}) {
      optimizer->zero_grad();
      net(x).backward();
      clip_grad_norm(net.parameters(), 0.1);
      optimizer->step(0.01);
      x.value().fill(i);
    }
  }
  const Variable loss = net(x);
  for (const Variable& parameter : net.parameters()) parameter.value().to_vector<float>();
  net.set_requires_grad(false);  // as who trains another network in between does
  net.set_requires_grad(true);
  loss.backward();
}

TEST_CASE("saved: an op of one's own is watched, whether its backward captured a tensor or a variable") {
  const Variable x = leaf_of({3}), y = leaf_of({3});
  const Variable a = record("square", x.value() * x.value(), {x},
                            [value = x.value()](const Tensor& dy) -> Gradients { return dy * value * 2.0; });
  const Variable b = record("square", y.value() * y.value(), {y},
                            [y](const Tensor& dy) -> Gradients { return dy * y.value() * 2.0; });
  x.value().fill(1);
  y.value().fill(1);
  CHECK(has(backward_error(a), "square: its input 0, f64 (1), was changed in place"));
  CHECK(has(backward_error(b), "square: its input 0, f64 (1), was changed in place"));
}

TEST_CASE("saved: a checkpoint that would run again on other values refuses") {
  const auto part = [](const Variable& weight, const Variable& shift) {
    return [=](const std::vector<Variable>& in) { return tanh(in[0] * weight + shift); };
  };
  const std::map<std::string, std::function<void(const Variable&, const Variable&, const Variable&)>>
      changes = {
          {"an input", [](const Variable& x, const Variable&, const Variable&) { x.value().fill(2); }},
          {"a parameter", [](const Variable&, const Variable& w, const Variable&) { w.value().fill(2); }},
          {"one that is only added",
           [](const Variable&, const Variable&, const Variable& s) { s.value().fill(2); }},
          {"a parameter's value", [](const Variable&, const Variable& w,
                                     const Variable&) { w.set_value(Tensor::ones({2}, Dtype::f64)); }},
          {"another value of one that is only added",
           [](const Variable&, const Variable&, const Variable& s) {
             s.set_value(Tensor::ones({2}, Dtype::f64));
           }},
      };
  for (const auto& [name, change] : changes) {
    INFO(name);
    const Variable x = leaf_of({1, 2}), weight = leaf_of({3, 4}), shift = leaf_of({5, 6});
    const Variable y = sum(activation_checkpoint(part(weight, shift), {x}));
    change(x, weight, shift);
    const std::string message = backward_error(y);
    CHECK_MESSAGE((has(message, "was changed in place") || has(message, "was given another value")), message);
  }
  // Its own output may be changed: it is made again.
  const Variable x = leaf_of({1, 2}), weight = leaf_of({3, 4}), shift = leaf_of({5, 6});
  const Variable output = activation_checkpoint(part(weight, shift), {x});
  const Variable loss = sum(output);
  output.value().fill(0);
  loss.backward();
  const Tensor gradient = x.grad();
  x.zero_grad();
  sum(part(weight, shift)({x})).backward();
  CHECK(x.grad().to_vector<double>() == gradient.to_vector<double>());
}

TEST_CASE("saved: watching keeps no memory") {
  const Variable x = leaf_of({1, 2});
  std::weak_ptr<Storage> storage;
  {
    const Variable y = activation_checkpoint(
        [&](const std::vector<Variable>& in) {
          const Variable inner = exp(in[0]);
          storage = inner.value().storage();
          return inner * 2.0;
        },
        {x});
    CHECK(storage.expired());
  }
}

TEST_CASE(
    "gradients: another shape, dtype or device is refused where it enters, and the message says where") {
  const auto message_of = [](const std::function<void()>& call) {
    try {
      call();
    } catch (const Error& error) {
      return std::string(error.what());
    }
    return std::string("no error");
  };
  const Variable x(Tensor::ones({2}), true);
  const Tensor f64 = Tensor::ones({2}, Dtype::f64), f32 = Tensor::ones({2}),
               bf16 = Tensor::ones({2}, Dtype::bf16);
  CHECK(message_of([&] { (x * 2.0).backward(f64); }) ==
        "backward: a gradient of f64 (2) on cpu for a variable of f32 (2) on cpu");
  CHECK(message_of([&] { x.set_grad(bf16); }) ==
        "set_grad: a gradient of bf16 (2) on cpu for a variable of f32 (2) on cpu");
  CHECK(message_of([&] { x.set_grad(Tensor::ones({3})); }) ==
        "set_grad: a gradient of f32 (3) on cpu for a variable of f32 (2) on cpu");
  const Variable hooked = x * 2.0;
  hooked.register_hook([&](const Tensor&) { return f64; });
  CHECK(message_of([&] { sum(hooked).backward(); }) ==
        "hook: a gradient of f64 (2) on cpu for a variable of f32 (2) on cpu");
  const Variable careless =
      record("careless", x.value().clone(), {x}, [&](const Tensor&) -> Gradients { return f64; });
  CHECK(message_of([&] { careless.backward(f32); }) ==
        "careless: backward gave a gradient of f64 (2) on cpu for input 0 of f32 (2) on cpu");
  CHECK_FALSE(x.grad().defined());
  // A variable that was converted in between gets no gradient of its former dtype.
  const Variable y = x + 1.0;
  x.set_value(bf16);
  CHECK(has(message_of([&] { y.backward(f32); }), "for input 0 of bf16 (2) on cpu"));
  CHECK_FALSE(x.grad().defined());
}

TEST_CASE("gradients: who changes in place what others may share is told so") {
  const Variable a = leaf_of({1}), b = leaf_of({1});
  const Variable left = a * 1.0, right = b * 1.0;
  left.register_hook([](const Tensor& gradient) {  // which add hands to both operands
    gradient.fill(7);
    return gradient;
  });
  CHECK(has(backward_error(sum(left + right)), "hook: changed the gradient of (1) in place"));
  const Variable x = leaf_of({1});
  const Variable y = record("greedy", x.value().clone(), {x}, [](const Tensor& dy) -> Gradients {
    dy.fill(2);
    return dy;
  });
  CHECK(has(backward_error(sum(y)), "greedy: backward changed the gradient of its output in place"));
}

TEST_CASE("frozen weights: a packed copy of a value that was changed in place is not used") {
  Generator generator(4);
  const Variable x(Tensor::normal({64, 64}, 0, 1, generator));
  const Variable weight(Tensor::normal({64, 64}, 0, 1, generator));
  for (int i = 0; i < 3; ++i) linear(x, weight, {});  // the second product packs it
  weight.value().fill(1);
  const Tensor expected = reduce(Reduce::sum, x.value(), {1}, true).expand({64, 64});
  for (int i = 0; i < 3; ++i) {
    const Tensor difference = linear(x, weight, {}).value() - expected;
    CHECK(reduce(Reduce::max, unary(Unary::abs, difference)).item() < 1e-4);
  }
}

}  // namespace nabla
