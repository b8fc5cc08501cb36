// Large inputs: where a naive formula overflows although the function does not. And NaN, which no op may hide.
#include <algorithm>
#include <array>
#include <cmath>
#include <optional>

#include "autograd/gradcheck.h"
#include "tests/ops/op_checks.h"

namespace nabla {

namespace {

// Elements of about `size`, of both signs if the op's domain has both.
std::vector<Tensor> inputs_of_size(const OpCase& test, double size, Generator& generator) {
  std::vector<Tensor> inputs;
  for (const Shape& shape : test.shapes) {
    std::vector<double> values(static_cast<size_t>(shape.numel()));
    for (double& value : values) {
      value = size * (0.9 + 0.1 * generator.uniform());
      if (test.options.low < 0 && generator.uniform() < 0.5) value = -value;
    }
    inputs.push_back(Tensor::from(values, shape));
  }
  return inputs;
}

bool all_finite(const Tensor& x) {
  const std::vector<double> values = x.to_vector<double>();
  return std::all_of(values.begin(), values.end(), [](double value) { return std::isfinite(value); });
}

// The largest |got - expected|, as a share of the largest expected value, where f32 can hold the latter (below its range it is
// 0); infinite if one is not finite.
double narrow_error(const Tensor& got, const Tensor& expected) {
  constexpr double least = 1e-37, most = 1e38;
  const std::vector<double> g = got.to_vector<double>(), e = expected.to_vector<double>();
  double largest = 0, worst = 0;
  for (size_t i = 0; i < e.size(); ++i) {
    if (std::abs(e[i]) > most) continue;
    if (!std::isfinite(g[i])) return INFINITY;
    largest = std::max(largest, std::abs(e[i]));
    worst = std::max(worst, std::abs(g[i] - e[i]));
  }
  return worst / std::max(largest, least);
}

// Where the output depends on an input most, by its gradient; nothing where it depends on no element.
std::optional<size_t> most_influential(const Tensor& gradient) {
  const std::vector<double> values = gradient.to_vector<double>();
  const auto most = std::max_element(values.begin(), values.end(),
                                     [](double a, double b) { return std::abs(a) < std::abs(b); });
  if (most == values.end() || *most == 0) return std::nullopt;
  return static_cast<size_t>(most - values.begin());
}

// In f32 or bf16: the output is right, the gradients are finite where f64's fit.
void check_narrow(const OpCase& test, const std::vector<Tensor>& tensors, Dtype dtype, Device device,
                  const std::string& about, Complaints& complaints) {
  const std::vector<Tensor> inputs = converted(tensors, dtype, device);
  const Evaluation narrow = evaluate(test.function, inputs, {});
  const Evaluation wide = evaluate(test.function, converted(inputs, Dtype::f64, Device::cpu()), {});
  const std::string where = fmt::format("{} in {} on {}", about, name_of(dtype), device.to_string());
  // Functions of large differences are ill-conditioned: a rough look, for what is infinite, 0 or NaN.
  const double error = narrow_error(narrow.output, wide.output);
  if (!(error <= 0.1)) complaints.push_back(fmt::format("{}: the output is off by {:.3g}", where, error));
  for (size_t i = 0; i < inputs.size(); ++i) {
    if (!std::isfinite(narrow_error(narrow.gradients[i], wide.gradients[i])))
      complaints.push_back(fmt::format("{}: the gradient of input {} is not finite", where, i));
  }
}

}  // namespace

Complaints check_large_values(const OpCase& test, Device device) {
  Complaints complaints;
  Generator generator(17);
  for (const double size : {50.0, 100.0, 700.0, 1e4}) {
    if (size > test.options.largest) continue;
    const std::string about = fmt::format("{} of values about {}", test.name, size);
    const std::vector<Tensor> inputs = inputs_of_size(test, size, generator);
    for (const Dtype dtype : {Dtype::f32, Dtype::bf16})
      check_narrow(test, inputs, dtype, device, about, complaints);
    if (!device.is_cpu()) continue;
    const Evaluation wide = evaluate(test.function, inputs, {});
    bool finite = all_finite(wide.output);
    for (const Tensor& gradient : wide.gradients) finite = finite && all_finite(gradient);
    if (!finite) complaints.push_back(about + ": the output or a gradient is not finite in f64");
    if (!test.options.finite_differences || size > 1000) continue;
    try {
      gradcheck(test.function, inputs, generator);
    } catch (const Error& error) {
      complaints.push_back(about + ": " + error.what());
    }
  }
  return complaints;
}

Complaints check_nan(const OpCase& test, Device device) {
  Complaints complaints;
  std::vector<Shapes> shapes = test.options.also;
  shapes.insert(shapes.begin(), test.shapes);
  Generator generator(23);
  for (const Shapes& each : shapes) {
    const std::vector<Tensor> inputs = random_inputs(each, test.options, generator);
    const std::vector<Tensor> gradients = evaluate(test.function, inputs, {}).gradients;
    for (size_t i = 0; i < inputs.size(); ++i) {
      const std::optional<size_t> element = most_influential(gradients[i]);
      if (!element) continue;
      std::vector<Tensor> with = inputs;
      std::vector<double> values = inputs[i].to_vector<double>();
      values[*element] = NAN;
      with[i] = Tensor::from(values, inputs[i].shape());
      for (const Dtype dtype : {Dtype::f64, Dtype::f32, Dtype::bf16}) {
        if (!device.is_cpu() && dtype == Dtype::f64) continue;
        const Tensor output = evaluate(test.function, converted(with, dtype, device), {}).output;
        if (!all_finite(output)) continue;
        complaints.push_back(fmt::format("{}: a NaN in input {} of {} in {} is lost on {}", test.name, i,
                                         inputs[i].shape(), name_of(dtype), device.to_string()));
      }
    }
  }
  return complaints;
}

}  // namespace nabla
