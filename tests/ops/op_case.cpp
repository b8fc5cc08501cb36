#include "tests/ops/op_case.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "tensor/io/safetensors.h"
#include "tests/support.h"

namespace nabla {

namespace {

std::vector<OpCase>& registered() {
  static std::vector<OpCase> cases;
  return cases;
}

const SafeTensors& reference_file() {
  static const SafeTensors file = SafeTensors::load(source_folder() / "tests/reference/ops.safetensors");
  return file;
}

}  // namespace

OpCase::OpCase(std::string name, Shapes shapes, OpFunction function, OpOptions options)
    : name(std::move(name)),
      shapes(std::move(shapes)),
      function(std::move(function)),
      options(std::move(options)) {
  registered().push_back(*this);
}

OpCase OpCase::unregistered(std::string name, Shapes shapes, OpFunction function, OpOptions options) {
  const OpCase test(std::move(name), std::move(shapes), std::move(function), std::move(options));
  registered().pop_back();
  return test;
}

const std::vector<OpCase>& OpCase::all() { return registered(); }

Evaluation evaluate(const OpFunction& function, const std::vector<Tensor>& inputs, const Tensor& cotangent,
                    const std::vector<bool>& needed) {
  std::vector<Variable> leaves;
  for (size_t i = 0; i < inputs.size(); ++i) leaves.emplace_back(inputs[i], needed.empty() || needed[i]);
  const Variable output = function(leaves);
  output.backward(cotangent.defined() ? cotangent
                                      : Tensor::ones(output.shape(), output.dtype(), output.device()));
  Evaluation result{output.value(), {}};
  for (const Variable& leaf : leaves) result.gradients.push_back(leaf.grad());
  return result;
}

bool has_reference(const OpCase& test) { return reference_file().contains(test.name + "/out"); }

Tensor reference(const std::string& name) {
  check(reference_file().contains(name),
        "{} is not in tests/reference/ops.safetensors: add the case to make_ops.py and run it", name);
  return reference_file().get(name);
}

std::vector<Tensor> reference_inputs(const OpCase& test) {
  std::vector<Tensor> inputs;
  for (size_t i = 0; i < test.shapes.size(); ++i) {
    inputs.push_back(reference(fmt::format("{}/in.{}", test.name, i)));
    check(inputs.back().shape() == test.shapes[i], "{}: input {} is {} in the case, {} in make_ops.py",
          test.name, i, test.shapes[i], inputs.back().shape());
  }
  return inputs;
}

std::vector<Tensor> random_inputs(const Shapes& shapes, const OpOptions& options, Generator& generator) {
  std::vector<Tensor> inputs;
  for (const Shape& shape : shapes) {
    inputs.push_back(Tensor::uniform(shape, options.low, options.high, generator, Dtype::f64));
  }
  return inputs;
}

Tensor strided_copy(const Tensor& x) {
  const double gap = std::numeric_limits<double>::quiet_NaN();
  if (x.rank() == 0) {
    const Tensor view = Tensor::full({3}, gap, x.dtype(), x.device()).select(0, 1);
    view.copy_from(x);
    return view;
  }
  Shape reversed;
  std::vector<int> back;
  for (int axis = x.rank() - 1; axis >= 0; --axis) {
    reversed.push_back(x.size(axis));
    back.push_back(axis);
  }
  const int64_t size = reversed[-1];
  reversed[-1] = 2 * size + 1;
  const Tensor buffer = Tensor::full(reversed, gap, x.dtype(), x.device());
  const Tensor view = buffer.slice(-1, 1, 2 * size + 1, 2).permute(back);
  view.copy_from(x);
  return view;
}

std::vector<Tensor> converted(const std::vector<Tensor>& tensors, Dtype dtype, Device device) {
  std::vector<Tensor> result;
  for (const Tensor& tensor : tensors) result.push_back(tensor.to(dtype).to(device));
  return result;
}

double relative_error(const Tensor& actual, const Tensor& expected) {
  constexpr double infinite = std::numeric_limits<double>::infinity();
  if (!actual.defined() || actual.shape() != expected.shape()) return infinite;
  const std::vector<double> a = actual.to_vector<double>(), e = expected.to_vector<double>();
  double largest = 0, difference = 0;
  for (size_t i = 0; i < a.size(); ++i) {
    if (std::isnan(a[i]) || std::isnan(e[i])) return infinite;
    largest = std::max(largest, std::abs(e[i]));
    difference = std::max(difference, std::abs(a[i] - e[i]));
  }
  return largest > 0 ? difference / largest : difference;
}

}  // namespace nabla
