// Variable: a tensor whose history is recorded, hooks, and what works on the tape.
#include <nanobind/stl/function.h>

#include "autograd/activation_checkpoint.h"
#include "autograd/gradcheck.h"
#include "autograd/graph.h"
#include "autograd/ops/ops.h"
#include "autograd/tape.h"
#include "bindings/python/binding.h"

namespace dinomaly::python {

namespace {

// What a hook returns, or None for the gradient as it is.
Hook hook_of(nb::callable function) {
  return [function = held(std::move(function))](const Tensor& gradient) {
    const nb::gil_scoped_acquire acquired;
    const nb::object result = (*function)(gradient);
    return result.is_none() ? gradient : tensor_of(result);
  };
}

nb::object grad_of(const Variable& variable) {
  return variable.grad().defined() ? nb::cast(variable.grad()) : nb::none();
}

void bind_state(nb::class_<Variable>& type) {
  type.def(
          "__init__",
          [](Variable* self, nb::handle value, bool requires_grad) {
            new (self) Variable(tensor_of(value), requires_grad);
          },
          "value"_a, "requires_grad"_a = false, "A leaf. The value is anything that Tensor() takes.")
      .def(nb::init_implicit<Tensor>(), "value"_a)
      .def_prop_ro("value", &Variable::value)
      .def_prop_ro("shape", [](const Variable& v) { return v.shape(); })
      .def_prop_ro("dtype", &Variable::dtype)
      .def_prop_ro("device", &Variable::device)
      .def_prop_ro("is_leaf", &Variable::is_leaf)
      .def_prop_rw("requires_grad", &Variable::requires_grad,
                   [](const Variable& v, bool on) { v.set_requires_grad(on); })
      .def_prop_rw(
          "name", &Variable::name, [](const Variable& v, std::string name) { v.set_name(std::move(name)); },
          "What errors call it.")
      .def_prop_rw(
          "grad", &grad_of,
          [](const Variable& v, nb::handle value) {
            v.set_grad(value.is_none() ? Tensor() : tensor_of(value));
          },
          nb::for_getter(nb::sig("def grad(self) -> Tensor | None")),
          nb::for_setter(nb::sig("def grad(self, value: Tensor | None) -> None")),
          "The gradient of a leaf or a retained variable; None before backward().")
      .def("item", &Variable::item)
      .def(
          "numpy", [](const Variable& v) { return nb::cast(v.value()).attr("numpy")(); },
          nb::sig("def numpy(self) -> numpy.ndarray"), "The value as a NumPy array on the same memory.")
      .def(
          "set_value", [](const Variable& v, nb::handle value) { v.set_value(tensor_of(value)); }, "value"_a,
          "Leaves only: replaces the value and drops the gradient.")
      .def("zero_grad", &Variable::zero_grad)
      .def(
          "is_same", [](const Variable& a, const Variable& b) { return a.state() == b.state(); }, "other"_a,
          "Whether both are one variable.")
      .def("retain_grad", &Variable::retain_grad, "Makes a non-leaf keep its gradient, after its hooks.")
      .def("detach", &Variable::detach, "The same value without history.")
      .def(
          "register_hook",
          [](const Variable& v, nb::callable hook) { return v.register_hook(hook_of(std::move(hook))); },
          "hook"_a,
          nb::sig("def register_hook(self, hook: collections.abc.Callable[[Tensor], Tensor | None]) -> "
                  "HookHandle"),
          "hook(gradient) gets the gradient, summed over all uses of the variable, and returns its "
          "replacement, or None to\n"
          "leave it. It must not change what it is given.")
      .def(
          "backward",
          [](const Variable& v, nb::handle gradient) {
            const Tensor start = gradient.is_none() ? Tensor() : tensor_of(gradient);
            const Computing computing;
            v.backward(start);
          },
          "gradient"_a = nb::none(),
          "Adds to the leaves' grad the gradients of this variable, which has one element unless `gradient` "
          "is given. Releases\n"
          "the tape that it walks.")
      .def("__repr__", [](const Variable& v) {
        return fmt::format("Variable({}{})", nb::cast<std::string>(nb::repr(nb::cast(v.value()))),
                           v.requires_grad() ? ", requires_grad=True" : "");
      });
}

void bind_operators(nb::class_<Variable>& type) {
  using V = const Variable&;
  type.def(
          "__add__", [](V a, V b) { return a + b; }, computes(), nb::is_operator())
      .def(
          "__add__", [](V a, double b) { return a + b; }, computes(), nb::is_operator())
      .def(
          "__radd__", [](V a, double b) { return a + b; }, computes(), nb::is_operator())
      .def(
          "__sub__", [](V a, V b) { return a - b; }, computes(), nb::is_operator())
      .def(
          "__sub__", [](V a, double b) { return a + -b; }, computes(), nb::is_operator())
      .def(
          "__rsub__", [](V a, double b) { return b - a; }, computes(), nb::is_operator())
      .def(
          "__mul__", [](V a, V b) { return a * b; }, computes(), nb::is_operator())
      .def(
          "__mul__", [](V a, double b) { return a * b; }, computes(), nb::is_operator())
      .def(
          "__rmul__", [](V a, double b) { return a * b; }, computes(), nb::is_operator())
      .def(
          "__truediv__", [](V a, V b) { return a / b; }, computes(), nb::is_operator())
      .def(
          "__truediv__", [](V a, double b) { return a * (1 / b); }, computes(), nb::is_operator())
      .def(
          "__pow__", [](V a, double b) { return pow(a, b); }, computes(), nb::is_operator())
      .def(
          "__neg__", [](V a) { return neg(a); }, computes(), nb::is_operator())
      .def(
          "__matmul__", [](V a, V b) { return matmul(a, b); }, computes(), nb::is_operator());
}

void bind_methods(nb::class_<Variable>& type) {
  const auto axes = "axes"_a = std::vector<int>();
  const auto keep = "keep"_a = false;
  type.def("sum", &sum, axes, keep, computes())
      .def("mean", &mean, axes, keep, computes())
      .def(
          "max",
          [](const Variable& x, const std::vector<int>& over, bool kept) { return max(x, over, kept); }, axes,
          keep, computes())
      .def("reshape", &reshape, "shape"_a, computes())
      .def(
          "transpose", [](const Variable& x, int a, int b) { return transpose(x, a, b); }, "axis_a"_a,
          "axis_b"_a, computes())
      .def(
          "permute", [](const Variable& x, const std::vector<int>& order) { return permute(x, order); },
          "axes"_a, computes())
      .def(
          "slice",
          [](const Variable& x, int axis, int64_t begin, int64_t end, int64_t step) {
            return slice(x, axis, begin, end, step);
          },
          "axis"_a, "begin"_a, "end"_a, "step"_a = 1, computes())
      .def(
          "expand", [](const Variable& x, const Shape& shape) { return expand(x, shape); }, "shape"_a,
          computes())
      .def(
          "to", [](const Variable& x, Dtype dtype) { return cast(x, dtype); }, "dtype"_a, computes());
}

using Function = std::function<Variable(const std::vector<Variable>&)>;

// Called with the variables one by one.
Function function_of(nb::callable function) {
  return [function = held(std::move(function))](const std::vector<Variable>& inputs) {
    const nb::gil_scoped_acquire acquired;
    nb::list arguments;
    for (const Variable& input : inputs) arguments.append(input);
    return nb::cast<Variable>((*function)(*arguments));
  };
}

void bind_tape(nb::module_& m) {
  m.def("grad_enabled", &GradMode::enabled, "Whether ops are recorded on this thread.");
  m.def("set_grad_enabled", &GradMode::set, "on"_a);
  m.def("tape_size", &tape_size, "The number of ops on the tape.");
  m.def(
      "op_name",
      [](const Variable& v) -> std::string { return v.state()->node ? v.state()->node->name : ""; },
      "variable"_a, "The op that made the variable; empty for leaves and constants.");
  m.def("to_graphviz", &to_graphviz, "root"_a, "names"_a = std::vector<std::pair<std::string, Variable>>(),
        "How `root` was computed, in the language of Graphviz. Before backward().");
  m.def(
      "gradcheck",
      [](nb::callable function, const std::vector<nb::object>& inputs, std::optional<Generator> generator,
         double tolerance) {
        std::vector<Tensor> values;
        for (const nb::object& input : inputs) values.push_back(tensor_of(input));
        Generator drawn = generator.value_or(Generator());
        const Function checked = function_of(std::move(function));
        const Computing computing;
        return gradcheck(checked, values, drawn, tolerance);
      },
      "function"_a, "inputs"_a, "generator"_a = nb::none(), "tolerance"_a = 1e-6,
      "Compares the gradients of function(*inputs) with central differences, in f64: the largest error. "
      "Raises Error naming\n"
      "input, element and both numbers where it exceeds the tolerance.");
  m.def(
      "activation_checkpoint",
      [](nb::callable function, const std::vector<Variable>& inputs, Generator* generator) {
        const Function run = function_of(std::move(function));
        const Computing computing;
        return activation_checkpoint(run, inputs, generator);
      },
      "function"_a, "inputs"_a, "generator"_a = nb::none(), nb::keep_alive<0, 3>(),
      "function(*inputs) with the same value and gradients; backward() runs it a second time instead of "
      "keeping its tape.");
  nb::class_<DetectAnomaly>(m, "_DetectAnomaly").def(nb::init<>());
}

}  // namespace

void bind_variable(nb::module_& m) {
  nb::class_<HookHandle>(m, "HookHandle", "Removes a hook.")
      .def("remove", &HookHandle::remove, "Does nothing where the hook is gone already.");
  nb::class_<Variable> type(m, "Variable",
                            "A tensor whose history is recorded, so that gradients flow back through it. "
                            "Copies are the same variable.");
  bind_state(type);
  bind_operators(type);
  bind_methods(type);
  bind_tape(m);
}

}  // namespace dinomaly::python
