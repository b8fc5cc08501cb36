#include "nn/optim/clip_grad_norm.h"

#include <algorithm>
#include <cmath>

#include "tensor/kernels.h"
#include "tensor/ops.h"

namespace nabla {

namespace {
std::vector<Tensor> gradients_of(const std::vector<Variable>& parameters) {
  std::vector<Tensor> gradients;
  for (const Variable& parameter : without_repeats(parameters)) {
    if (parameter.grad().defined()) gradients.push_back(parameter.grad().contiguous());
  }
  return gradients;
}
}  // namespace

Tensor norm_and_clip_factor(const std::vector<Variable>& parameters, double max_norm) {
  const std::vector<Tensor> gradients = gradients_of(parameters);
  const Device device = gradients.empty() ? Device::cpu() : gradients[0].device();
  const Tensor squares = Tensor::empty({1}, Dtype::f64, device);
  Tensor result = Tensor::empty({2}, Dtype::f64, device);
  kernels_for(device).sum_of_squares(gradients, squares);
  kernels_for(device).clip_factor(squares, max_norm, result);
  return result;
}

double grad_norm(const std::vector<Variable>& parameters) {
  return norm_and_clip_factor(parameters, 1).slice(0, 0, 1).item();
}

double clip_factor(double norm, double max_norm) {
  check(std::isfinite(norm) && max_norm > 0, "clip_grad_norm: a norm of {} cannot be clipped to {}", norm,
        max_norm);
  return std::min(1.0, max_norm / (norm + 1e-6));
}

double clip_grad_norm(const std::vector<Variable>& parameters, double max_norm) {
  const double norm = grad_norm(parameters);
  const double factor = clip_factor(norm, max_norm);
  if (factor < 1) {
    for (const Variable& parameter : without_repeats(parameters)) {
      if (parameter.grad().defined()) parameter.set_grad(parameter.grad() * factor);
    }
  }
  return norm;
}

}  // namespace nabla
