#include "nn/optim/clip_grad_norm.h"

#include <algorithm>
#include <cmath>

#include "tensor/kernels.h"
#include "tensor/ops.h"

namespace dinomaly {

namespace {
std::vector<Tensor> gradients_of(const std::vector<Variable>& parameters) {
  std::vector<Tensor> gradients;
  for (const Variable& parameter : parameters) {
    if (parameter.grad().defined()) gradients.push_back(parameter.grad().contiguous());
  }
  return gradients;
}
}  // namespace

double grad_norm(const std::vector<Variable>& parameters) {
  const std::vector<Tensor> gradients = gradients_of(parameters);
  if (gradients.empty()) return 0;
  const Device device = gradients[0].device();
  const Tensor sum = Tensor::empty({1}, device.is_cpu() ? Dtype::f64 : Dtype::f32, device);
  kernels_for(device).sum_of_squares(gradients, sum);
  return std::sqrt(sum.item());
}

double clip_factor(double norm, double max_norm) { return std::min(1.0, max_norm / (norm + 1e-6)); }

double clip_grad_norm(const std::vector<Variable>& parameters, double max_norm) {
  const double norm = grad_norm(parameters);
  const double factor = clip_factor(norm, max_norm);
  if (factor < 1) {
    for (const Variable& parameter : parameters) {
      if (parameter.grad().defined()) parameter.set_grad(parameter.grad() * factor);
    }
  }
  return norm;
}

}  // namespace dinomaly
