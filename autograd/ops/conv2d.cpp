// 2-d cross-correlation, as every framework calls convolution, with stride s and padding p per axis:
//   y[b, o, i, j] = bias[o] + sum over c, u, v of x[b, c, i s + u - p, j s + v - p] weight[o, c, u, v],
//   c over the channels of o's group, x = 0 outside.
//   x (B, C, H, W), weight (O, C / groups, kh, kw), bias (O) or undefined
//   -> y (B, O, (H + 2 p - kh) / s + 1, (W + 2 p - kw) / s + 1), divisions rounded down
// dx = dy correlated with the flipped kernel, dweight = x correlated with dy, dbias = sum of dy over b, i, j.
// Saved: x if dweight is wanted, weight if dx is.
#include "autograd/ops/common.h"
#include "autograd/ops/ops.h"

namespace nabla {

namespace {

void check_conv2d(const Variable& x, const Variable& weight, const Variable& bias, const Conv2dArgs& args) {
  check_alike("conv2d", x, weight, bias);
  check(x.shape().rank() == 4 && weight.shape().rank() == 4,
        "conv2d: x {} and weight {} are not (B, C, H, W) and (O, C / groups, kh, kw)", x.shape(),
        weight.shape());
  check(args.stride_y >= 1 && args.stride_x >= 1 && args.padding_y >= 0 && args.padding_x >= 0,
        "conv2d: stride ({}, {}) must be at least 1 and padding ({}, {}) not negative", args.stride_y,
        args.stride_x, args.padding_y, args.padding_x);
  check(args.groups >= 1 && x.size(1) % args.groups == 0 && weight.size(0) % args.groups == 0,
        "conv2d: {} groups do not divide the channels of x {} and weight {}", args.groups, x.shape(),
        weight.shape());
  check(weight.size(1) == x.size(1) / args.groups, "conv2d: weight {} does not fit x {} with {} groups",
        weight.shape(), x.shape(), args.groups);
  check(!bias.defined() || bias.shape() == Shape{weight.size(0)}, "conv2d: bias {} does not fit weight {}",
        bias.defined() ? bias.shape() : Shape(), weight.shape());
  check(weight.size(2) >= 1 && weight.size(3) >= 1 && weight.size(2) <= x.size(2) + 2 * args.padding_y &&
            weight.size(3) <= x.size(3) + 2 * args.padding_x,
        "conv2d: the kernel of weight {} does not fit into x {} with padding ({}, {})", weight.shape(),
        x.shape(), args.padding_y, args.padding_x);
}

}  // namespace

Variable conv2d(const Variable& x, const Variable& weight, const Variable& bias, const Conv2dArgs& args) {
  check_conv2d(x, weight, bias, args);
  const Tensor input = x.value().contiguous(), kernel = weight.value().contiguous();
  const int64_t height = (input.size(2) + 2 * args.padding_y - kernel.size(2)) / args.stride_y + 1;
  const int64_t width = (input.size(3) + 2 * args.padding_x - kernel.size(3)) / args.stride_x + 1;
  const Tensor y = Tensor::empty({input.size(0), kernel.size(0), height, width}, x.dtype(), x.device());
  kernels_for(x).conv2d(input, kernel, bias.defined() ? bias.value().contiguous() : Tensor(), args, y);

  const bool need_x = wants_gradient(x), need_weight = wants_gradient(weight),
             need_bias = wants_gradient(bias);
  return record("conv2d", y, {x, weight, bias},
                [args, need_x, need_weight, need_bias, x_shape = x.shape(), weight_shape = weight.shape(),
                 input = need_weight ? input : Tensor(),
                 kernel = need_x ? kernel : Tensor()](const Tensor& dy_in) -> Gradients {
                  const Tensor dy = dy_in.contiguous();
                  Tensor dx, dweight, dbias;
                  if (need_x) {
                    dx = Tensor::empty(x_shape, dy.dtype(), dy.device());
                    kernels_for(dy).conv2d_backward_data(dy, kernel, args, dx);
                  }
                  if (need_weight) {
                    dweight = Tensor::empty(weight_shape, dy.dtype(), dy.device());
                    kernels_for(dy).conv2d_backward_weight(dy, input, args, dweight);
                  }
                  if (need_bias) dbias = reduce(Reduce::sum, dy, {0, 2, 3});
                  return {dx, dweight, dbias};
                });
}

}  // namespace nabla
