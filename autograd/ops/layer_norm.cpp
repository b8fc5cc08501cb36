// y = xhat * weight + bias over the last axis, xhat = (x - mean) * rstd, rstd = 1 / sqrt(var + eps), the
// variance biased (Ba et al., 2016).
//   x (..., D), weight (D), bias (D) -> y (..., D)
// With g = dy * weight:
//   dx = rstd * (g - mean(g) - xhat * mean(g * xhat)),  dweight = sum of dy * xhat,  dbias = sum of dy over
//   rows.
// Saved: x, weight, and mean and rstd of every row; with the bias y is made again from them, so that the
// product which follows need not keep it.
#include "autograd/ops/common.h"
#include "autograd/ops/ops.h"

namespace nabla {

Variable layer_norm(const Variable& x, const Variable& weight, const Variable& bias, double eps) {
  check_alike("layer_norm", x, weight, bias);
  check(x.shape().rank() >= 1 && x.shape().back() >= 1, "layer_norm: x {} has nothing to normalise",
        x.shape());
  const Shape width{x.shape().back()};
  check(weight.shape() == width && bias.shape() == width, "layer_norm: weight {} and bias {} do not fit x {}",
        weight.shape(), bias.shape(), x.shape());
  const Tensor rows = as_rows(x.value());
  const Tensor scale = weight.value().contiguous(), shift = bias.value().contiguous();
  const Tensor mean = Tensor::empty({rows.size(0), 2}, wide(x.dtype()), x.device());
  const Tensor rstd = Tensor::empty({rows.size(0)}, wide(x.dtype()), x.device());
  const auto normalise = [=, shape = x.shape()] {
    const Tensor y = Tensor::empty_like(rows);
    kernels_for(rows).layer_norm(rows, scale, shift, eps, y, mean, rstd);
    return y.reshape(shape);
  };
  const Tensor y = normalise();

  const auto backward = [=](const Tensor& dy) -> Gradients {
    const Tensor dx = Tensor::empty_like(rows);
    const Tensor dweight = Tensor::empty_like(scale), dbias = Tensor::empty_like(scale);
    kernels_for(dy).layer_norm_backward(as_rows(dy), rows, scale, mean, rstd, dx, dweight, dbias);
    return {dx.reshape(dy.shape()), dweight, dbias};
  };
  return record("layer_norm", y, {x, weight, bias}, backward, normalise);
}

}  // namespace nabla
