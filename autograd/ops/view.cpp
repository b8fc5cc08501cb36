// Ops that only look at x in another way: y is a view of x's storage wherever strides allow it, and nothing
// is saved but shapes and indices.
//   reshape: dx = dy in x's shape            transpose, permute: dx = dy with the axes put back
//   slice: dx = 0, and dy at the elements taken      expand: dx = dy summed over the repeated axes
#include "autograd/ops/ops.h"

namespace nabla {

Variable reshape(const Variable& x, const Shape& shape) {
  return record("reshape", x.value().reshape(shape), {x},
                [shape = x.shape()](const Tensor& dy) -> Gradients { return dy.reshape(shape); });
}

Variable transpose(const Variable& x, int axis_a, int axis_b) {
  return record("transpose", x.value().transpose(axis_a, axis_b), {x},
                [axis_a, axis_b](const Tensor& dy) -> Gradients { return dy.transpose(axis_a, axis_b); });
}

Variable permute(const Variable& x, const std::vector<int>& axes) {
  const Tensor y = x.value().permute(axes);
  std::vector<int> inverse(axes.size());
  for (size_t i = 0; i < axes.size(); ++i) inverse[x.shape().wrap(axes[i])] = static_cast<int>(i);
  return record("permute", y, {x}, [inverse](const Tensor& dy) -> Gradients { return dy.permute(inverse); });
}

Variable slice(const Variable& x, int axis, int64_t begin, int64_t end, int64_t step) {
  return record("slice", x.value().slice(axis, begin, end, step), {x},
                [shape = x.shape(), axis, begin, end, step](const Tensor& dy) -> Gradients {
                  const Tensor dx = Tensor::zeros(shape, dy.dtype(), dy.device());
                  dx.slice(axis, begin, end, step).copy_from(dy);
                  return dx;
                });
}

Variable expand(const Variable& x, const Shape& shape) {
  return record("expand", x.value().expand(shape), {x},
                [shape = x.shape()](const Tensor& dy) -> Gradients { return sum_to(dy, shape); });
}

}  // namespace nabla
