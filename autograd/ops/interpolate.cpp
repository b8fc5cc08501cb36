// Resampling of the last two axes: each output is a weighted sum of one (nearest), four (bilinear) or sixteen
// (bicubic) inputs; where and with which weights stands at InterpolateArgs in tensor/kernel_args.h.
//   x (..., H, W) -> y (..., height, width)
// y is linear in x: dx sends every dy back to the inputs it came from, with the same weights.
// Saved: sizes only.
#include "autograd/ops/common.h"
#include "autograd/ops/ops.h"

namespace nabla {

namespace {

// (..., H, W) as the contiguous (planes, H, W) that the kernel takes.
Tensor as_planes(const Tensor& x) {
  int64_t planes = 1;
  for (int axis = 0; axis + 2 < x.rank(); ++axis) planes *= x.size(axis);
  return x.contiguous().reshape({planes, x.size(-2), x.size(-1)});
}

}  // namespace

Variable interpolate(const Variable& x, int64_t height, int64_t width, const InterpolateArgs& args) {
  check_alike("interpolate", x);
  check(x.shape().rank() >= 2 && x.size(-2) >= 1 && x.size(-1) >= 1,
        "interpolate: x of {} is not (..., H, W)", x.shape());
  check(height >= 1 && width >= 1, "interpolate: cannot resize {} to ({}, {})", x.shape(), height, width);
  check(args.mode != InterpolateMode::nearest || !args.align_corners,
        "interpolate: align_corners has no meaning for nearest");
  const Tensor planes = as_planes(x.value());
  const Tensor y = Tensor::empty({planes.size(0), height, width}, x.dtype(), x.device());
  kernels_for(x).interpolate(planes, args, y);
  Shape y_shape = x.shape();
  y_shape[-2] = height;
  y_shape[-1] = width;

  return record("interpolate", y.reshape(y_shape), {x},
                [args, shape = x.shape(), planes_shape = planes.shape()](const Tensor& dy) -> Gradients {
                  const Tensor dx = Tensor::empty(planes_shape, dy.dtype(), dy.device());
                  kernels_for(dy).interpolate_backward(as_planes(dy), args, dx);
                  return dx.reshape(shape);
                });
}

}  // namespace nabla
