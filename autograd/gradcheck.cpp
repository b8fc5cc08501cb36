#include "autograd/gradcheck.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "autograd/grad_mode.h"

namespace nabla {

namespace {

constexpr double step = 1e-5;

// Rounding errors, in units of an output's last place, that are forgiven.
constexpr double forgiven = 32 * std::numeric_limits<double>::epsilon();

// A gradient of so little beside its outputs is what rounding leaves of 0: that of a constant row's layer_norm, say.
constexpr double unnoticed = 1024 * std::numeric_limits<double>::epsilon();

// sum of |c_j y_j|.
double size_of_terms(const std::vector<double>& c, const std::vector<double>& y) {
  double total = 0;
  for (size_t j = 0; j < c.size(); ++j) total += std::abs(c[j] * y[j]);
  return total;
}

struct Quotient {
  double difference, rounding;  // and how far it may be off because outputs are rounded
};

// What an output gains by less than its last place does not show: one that did not change may have gained that much.
Quotient quotient(const std::vector<double>& c, const std::vector<double>& above,
                  const std::vector<double>& below, double width) {
  double change = 0, terms = 0, hidden = 0;
  for (size_t j = 0; j < c.size(); ++j) {
    if (above[j] == below[j]) {
      hidden += std::abs(c[j] * above[j]);
      continue;
    }
    change += c[j] * (above[j] - below[j]);
    terms += std::abs(c[j]) * (std::abs(above[j]) + std::abs(below[j]));
  }
  return {change / width, (forgiven * terms + std::numeric_limits<double>::epsilon() * hidden) / width};
}

// The error of one element in units of `scale`; infinite for NaN, and where a difference of 0 on all sides
// meets a gradient.
double error_of(double gradient, const Quotient& q, double scale) {
  const double off = std::abs(gradient - q.difference) - q.rounding;
  if (off <= 0) return 0;
  return off / scale >= 0 ? off / scale : std::numeric_limits<double>::infinity();
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
  const std::vector<double> c = cotangent.to_vector<double>();
  const auto outputs = [&] { return function(leaves).value().to_vector<double>(); };
  const double floor = unnoticed * size_of_terms(c, output.value().to_vector<double>());
  double worst = 0;
  for (size_t which = 0; which < leaves.size(); ++which) {
    double* elements = leaves[which].value().data<double>();
    const int64_t count = leaves[which].value().numel();
    const std::vector<double> gradient = leaves[which].grad().defined()
                                             ? leaves[which].grad().to_vector<double>()
                                             : std::vector<double>(count);
    std::vector<Quotient> quotients;
    double scale = 0;
    for (int64_t i = 0; i < count; ++i) {
      const double centre = elements[i], right = centre + step, left = centre - step;
      elements[i] = right;
      const std::vector<double> above = outputs();
      elements[i] = left;
      const std::vector<double> below = outputs();
      elements[i] = centre;
      quotients.push_back(quotient(c, above, below, right - left));
      quotients.back().rounding += floor;
      scale = std::max(scale, std::abs(quotients.back().difference));
    }
    for (int64_t i = 0; i < count; ++i) {
      const double error = error_of(gradient[i], quotients[i], scale);
      check(error <= tolerance,
            "gradcheck: input {} of {}, element {}: gradient {:.9g}, finite difference {:.9g}", which,
            leaves[which].shape(), i, gradient[i], quotients[i].difference);
      worst = std::max(worst, error);
    }
  }
  return worst;
}

}  // namespace nabla
