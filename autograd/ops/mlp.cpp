// The feed-forward branch of a transformer block: y = r + s * (a W2^T + b2),  a = gelu(h),  h = x W1^T + b1.
//   x (..., I), W1 (H, I), b1 (H), W2 (O, H), b2 (O), residual r (..., O), scale s (O); biases, r and s may
//   be undefined -> y (..., O)
// With dz = s * dy:  dW2 = dz^T a,  db2 = sum of dz,  dh = (dz W2) * gelu'(h),
//                    dW1 = dh^T x,  db1 = sum of dh,  dx = dh W1,  dr = dy.
// Saved: x (or how to make it), h and the weights. a is made again from h: the hidden layer is the widest
// tensor of a block, and as separate ops (linear, gelu, linear) both h and a would be kept. Where nothing is
// recorded, h is not stored either.
#include "autograd/ops/common.h"
#include "autograd/ops/linear.h"
#include "autograd/ops/ops.h"

namespace nabla {

Variable mlp(const Variable& x, const LinearWeights& fc1, const LinearWeights& fc2, const Residual& then) {
  check_alike("mlp", x, fc1.weight, fc1.bias, fc2.weight, fc2.bias, then.x, then.scale);
  check_linear("mlp", x.shape(), fc1);
  Shape h_shape = x.shape(), y_shape = x.shape();
  h_shape[-1] = fc1.weight.size(0);
  check_linear("mlp", h_shape, fc2);
  y_shape[-1] = fc2.weight.size(0);
  check_residual("mlp", y_shape, then);
  if (wants_gradient(then.scale)) return then.x + mlp(x, fc1, fc2) * then.scale;

  const LinearBackward first(fc1, wants_gradient(x)), second(fc2, first.any());
  const bool recorded = GradMode::enabled() && (first.any() || second.need_weight);
  const auto activation = recorded ? Epilogue::Activation::none : Epilogue::Activation::gelu;
  const Tensor h = linear_forward(as_rows(x.value()), fc1, activation, {});
  const Tensor a = recorded ? unary(Unary::gelu, h) : h;
  const Tensor y = linear_forward(a, fc2, Epilogue::Activation::none, then);

  const auto backward = [=, x_shape = x.shape(), x = saved_activation_if(first.need_weight, x),
                         scale = saved_if(then.scale.defined(), then.scale),
                         need_residual = wants_gradient(then.x)](const Tensor& dy) -> Gradients {
    const Tensor dz = as_rows(scale.defined() ? dy * scale : dy);
    const Tensor dweight2 = second.dweight(dz, [&] { return unary(Unary::gelu, h); }),
                 dbias2 = second.dbias(dz);
    const Tensor dr = need_residual ? dy : Tensor();
    if (!first.any()) return {Tensor(), Tensor(), Tensor(), dweight2, dbias2, dr};
    const Tensor dh = second.dx(dz);
    kernels_for(dh).unary_backward(Unary::gelu, dh, h, h, {}, dh);
    const Tensor dx = first.dx(dh);
    return {dx.defined() ? dx.reshape(x_shape) : dx,
            first.dweight(dh, [&] { return x.get(); }),
            first.dbias(dh),
            dweight2,
            dbias2,
            dr};
  };
  return record("mlp", y.reshape(y_shape), {x, fc1.weight, fc1.bias, fc2.weight, fc2.bias, then.x}, backward);
}

}  // namespace nabla
