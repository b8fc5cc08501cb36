#include "autograd/gradcheck.h"

#include <algorithm>
#include <cmath>

#include "autograd/grad_mode.h"

namespace nabla {

namespace {

constexpr double step = 1e-5;

double dot(const Tensor& a, const Tensor& b) {
  const std::vector<double> x = a.to_vector<double>(), y = b.to_vector<double>();
  double total = 0;
  for (size_t i = 0; i < x.size(); ++i) total += x[i] * y[i];
  return total;
}

}  // namespace

double gradcheck(const std::function<Variable(const std::vector<Variable>&)>& function,
                 const std::vector<Tensor>& inputs, Generator& generator, double tolerance) {
  std::vector<Variable> leaves;
  for (const Tensor& input : inputs) {
    check(input.dtype() == Dtype::f64, "gradcheck: expected f64 inputs, got {}", input.dtype());
    leaves.emplace_back(input.clone(), true);
  }
  const Variable output = function(leaves);
  const Tensor cotangent = Tensor::normal(output.shape(), 0, 1, generator, Dtype::f64);
  output.backward(cotangent);

  NoGrad no_recording;
  const auto objective = [&] { return dot(function(leaves).value(), cotangent); };
  double worst = 0;
  for (size_t which = 0; which < leaves.size(); ++which) {
    double* elements = leaves[which].value().data<double>();
    const int64_t count = leaves[which].value().numel();
    const std::vector<double> gradient = leaves[which].grad().defined()
                                             ? leaves[which].grad().to_vector<double>()
                                             : std::vector<double>(count);
    for (int64_t i = 0; i < count; ++i) {
      const double centre = elements[i];
      elements[i] = centre + step;
      const double above = objective();
      elements[i] = centre - step;
      const double below = objective();
      elements[i] = centre;
      const double difference = (above - below) / (2 * step);
      const double error = std::abs(gradient[i] - difference) / std::max(1.0, std::abs(difference));
      check(error <= tolerance,
            "gradcheck: input {} of {}, element {}: gradient {:.9g}, finite difference {:.9g}", which,
            leaves[which].shape(), i, gradient[i], difference);
      worst = std::max(worst, error);
    }
  }
  return worst;
}

}  // namespace nabla
