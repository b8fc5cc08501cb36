// y = x W^T + b over the last axis; all leading axes of x are rows of one matrix product with a fused bias.
//   x (..., I), weight (O, I), bias (O) or undefined -> y (..., O)
// dx = dy W,  dW = dy^T x,  db = sum of dy over the rows.
// Saved: x (or how to make it) if dW is wanted, W if dx is.
//
// With a residual connection, y = r + s * (x W^T + b), the same holds with s * dy in place of dy, and dr =
// dy. A scale that wants a gradient needs the branch's own value: then the ops stand one after the other.
//
// A weight that requires no gradient counts as frozen and may be packed once. A change in place drops the packed copy; one
// through data() must be told by mark_written(). The same holds for mlp.cpp.
#include "autograd/ops/linear.h"

#include "autograd/ops/common.h"
#include "autograd/ops/ops.h"

namespace nabla {

void check_linear(const char* op, const Shape& x, const LinearWeights& layer) {
  check(x.rank() >= 1 && layer.weight.shape().rank() == 2 && x.back() == layer.weight.size(1),
        "{}: weight {} does not fit x {}", op, layer.weight.shape(), x);
  check(!layer.bias.defined() || layer.bias.shape() == Shape{layer.weight.size(0)},
        "{}: bias {} does not fit weight {}", op, layer.bias.defined() ? layer.bias.shape() : Shape(),
        layer.weight.shape());
}

void check_residual(const char* op, const Shape& y, const Residual& then) {
  check(!then.x.defined() || then.x.shape() == y, "{}: residual {} does not fit the output {}", op,
        then.x.defined() ? then.x.shape() : Shape(), y);
  check(!then.scale.defined() || (then.x.defined() && then.scale.shape() == Shape{y.back()}),
        "{}: scale {} does not fit the output {}, or there is no residual", op,
        then.scale.defined() ? then.scale.shape() : Shape(), y);
}

Tensor linear_forward(const Tensor& x_rows, const LinearWeights& layer, Epilogue::Activation activation,
                      const Residual& then) {
  Epilogue epilogue;
  epilogue.activation = activation;
  if (layer.bias.defined()) epilogue.bias = layer.bias.value().contiguous();
  if (then.scale.defined()) epilogue.column_scale = then.scale.value().contiguous();
  if (then.x.defined()) epilogue.residual = as_rows(then.x.value());
  const bool frozen = !wants_gradient(layer.weight);
  return matmul(x_rows, false, layer.weight.value(), true, epilogue, frozen);
}

LinearBackward::LinearBackward(const LinearWeights& layer, bool need_x)
    : need_x(need_x),
      need_weight(wants_gradient(layer.weight)),
      need_bias(wants_gradient(layer.bias)),
      weight(saved_if(need_x, layer.weight)) {}

Tensor LinearBackward::dx(const Tensor& dy) const {
  return need_x ? matmul(dy, false, weight, false) : Tensor();
}
Tensor LinearBackward::dweight(const Tensor& dy, const std::function<Tensor()>& make_x) const {
  return need_weight ? matmul(dy, true, as_rows(make_x()), false) : Tensor();
}
Tensor LinearBackward::dbias(const Tensor& dy) const {
  return need_bias ? reduce(Reduce::sum, dy, {0}) : Tensor();
}

Variable linear(const Variable& x, const Variable& weight, const Variable& bias, const Residual& then) {
  check_alike("linear", x, weight, bias, then.x, then.scale);
  check_linear("linear", x.shape(), {weight, bias});
  Shape y_shape = x.shape();
  y_shape[-1] = weight.size(0);
  check_residual("linear", y_shape, then);
  if (wants_gradient(then.scale)) return then.x + linear(x, weight, bias) * then.scale;
  const Tensor y = linear_forward(as_rows(x.value()), {weight, bias}, Epilogue::Activation::none, then);

  const LinearBackward layer({weight, bias}, wants_gradient(x));
  return record("linear", y.reshape(y_shape), {x, weight, bias, then.x},
                [layer, x_shape = x.shape(), x = saved_activation_if(layer.need_weight, x),
                 scale = saved_if(then.scale.defined(), then.scale),
                 need_residual = wants_gradient(then.x)](const Tensor& dy) -> Gradients {
                  const Tensor rows = as_rows(scale.defined() ? dy * scale : dy);
                  const Tensor dx = layer.dx(rows);
                  return {dx.defined() ? dx.reshape(x_shape) : dx,
                          layer.dweight(rows, [&] { return x.get(); }), layer.dbias(rows),
                          need_residual ? dy : Tensor()};
                });
}

}  // namespace nabla
