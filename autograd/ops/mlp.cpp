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

namespace {

struct Wanted {
  bool x, weight1, bias1, weight2, bias2, residual;
  bool any_of_fc1() const { return x || weight1 || bias1; }
};

struct SavedState {
  Saved x;
  Tensor h, weight1, weight2, scale;  // h as rows
};

Gradients mlp_backward(const Tensor& dy, const SavedState& saved, const Wanted& wanted) {
  const Tensor dz = as_rows(saved.scale.defined() ? dy * saved.scale : dy);
  Tensor dx, dweight1, dbias1, dweight2, dbias2;
  if (wanted.weight2) dweight2 = matmul(dz, true, unary(Unary::gelu, saved.h), false);
  if (wanted.bias2) dbias2 = reduce(Reduce::sum, dz, {0});
  if (wanted.any_of_fc1()) {
    const Tensor dh = matmul(dz, false, saved.weight2, false);
    kernels_for(dh).unary_backward(Unary::gelu, dh, saved.h, saved.h, {}, dh);
    if (wanted.x) {
      Shape x_shape = dy.shape();
      x_shape[-1] = saved.weight1.size(1);
      dx = matmul(dh, false, saved.weight1, false).reshape(x_shape);
    }
    if (wanted.weight1) dweight1 = matmul(dh, true, as_rows(saved.x.get()), false);
    if (wanted.bias1) dbias1 = reduce(Reduce::sum, dh, {0});
  }
  return {dx, dweight1, dbias1, dweight2, dbias2, wanted.residual ? dy : Tensor()};
}

}  // namespace

Variable mlp(const Variable& x, const LinearWeights& fc1, const LinearWeights& fc2, const Residual& then) {
  check_alike("mlp", x, fc1.weight, fc1.bias, fc2.weight, fc2.bias, then.x, then.scale);
  check_linear("mlp", x.shape(), fc1);
  Shape h_shape = x.shape(), y_shape = x.shape();
  h_shape[-1] = fc1.weight.size(0);
  check_linear("mlp", h_shape, fc2);
  y_shape[-1] = fc2.weight.size(0);
  check_residual("mlp", y_shape, then);
  if (wants_gradient(then.scale)) return then.x + mlp(x, fc1, fc2) * then.scale;

  const Wanted wanted{wants_gradient(x),          wants_gradient(fc1.weight), wants_gradient(fc1.bias),
                      wants_gradient(fc2.weight), wants_gradient(fc2.bias),   wants_gradient(then.x)};
  const bool recorded = GradMode::enabled() && (wanted.any_of_fc1() || wanted.weight2);
  const Tensor rows = as_rows(x.value());
  const auto activation = recorded ? Epilogue::Activation::none : Epilogue::Activation::gelu;
  const Tensor h = linear_forward(rows, fc1, activation, {});
  const Tensor y =
      linear_forward(recorded ? unary(Unary::gelu, h) : h, fc2, Epilogue::Activation::none, then);

  const SavedState saved{saved_activation_if(wanted.weight1, x), h, saved_if(wanted.x, fc1.weight),
                         saved_if(wanted.any_of_fc1(), fc2.weight),
                         saved_if(then.scale.defined(), then.scale)};
  return record("mlp", y.reshape(y_shape), {x, fc1.weight, fc1.bias, fc2.weight, fc2.bias, then.x},
                [saved, wanted](const Tensor& dy) { return mlp_backward(dy, saved, wanted); });
}

}  // namespace nabla
