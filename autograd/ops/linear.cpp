// y = x W^T + b over the last axis; all leading axes of x are rows of one matrix product with a fused bias.
//   x (..., I), weight (O, I), bias (O) or undefined -> y (..., O)
// dx = dy W,  dW = dy^T x,  db = sum of dy over the rows.
// Saved: x if dW is wanted, W if dx is.
#include "autograd/ops/common.h"
#include "autograd/ops/ops.h"

namespace dinomaly {

Variable linear(const Variable& x, const Variable& weight, const Variable& bias) {
  check_alike("linear", x, weight, bias);
  check(x.shape().rank() >= 1 && weight.shape().rank() == 2 && x.shape().back() == weight.size(1),
        "linear: weight {} does not fit x {}", weight.shape(), x.shape());
  check(!bias.defined() || bias.shape() == Shape{weight.size(0)}, "linear: bias {} does not fit weight {}",
        bias.defined() ? bias.shape() : Shape(), weight.shape());
  Shape y_shape = x.shape();
  y_shape[-1] = weight.size(0);
  Epilogue epilogue;
  if (bias.defined()) epilogue.bias = bias.value().contiguous();
  const Tensor y = matmul(as_rows(x.value()), false, weight.value(), true, epilogue).reshape(y_shape);

  const bool need_x = wants_gradient(x), need_weight = wants_gradient(weight),
             need_bias = wants_gradient(bias);
  return record("linear", y, {x, weight, bias},
                [need_x, need_weight, need_bias, x_shape = x.shape(), x = saved_if(need_weight, x),
                 weight = saved_if(need_x, weight)](const Tensor& dy) -> Gradients {
                  const Tensor dy_rows = as_rows(dy);
                  return {need_x ? matmul(dy_rows, false, weight, false).reshape(x_shape) : Tensor(),
                          need_weight ? matmul(dy_rows, true, as_rows(x), false) : Tensor(),
                          need_bias ? reduce(Reduce::sum, dy_rows, {0}) : Tensor()};
                });
}

}  // namespace dinomaly
