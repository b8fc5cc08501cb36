// sum, mean and max over any axes (none given: all). x of any shape; the reduced axes disappear, or stay with
// size 1 if `keep`. With n elements in each group:
//   sum: dx = dy      mean: dx = dy / n      max: dx = dy / (number of ties) at the maximum, 0 elsewhere
// each repeated over the reduced axes. Saved: nothing but shapes; max: x and y.
#include "autograd/ops/common.h"
#include "autograd/ops/ops.h"

namespace nabla {

namespace {

// The shape of the result with the reduced axes kept.
Shape kept_shape(const Shape& shape, const std::vector<int>& axes) {
  Shape kept = shape;
  for (int axis = 0; axes.empty() && axis < kept.rank(); ++axis) kept[axis] = 1;
  for (int axis : axes) kept[axis] = 1;
  return kept;
}

}  // namespace

Variable sum(const Variable& x, const std::vector<int>& axes, bool keep) {
  return record("sum", reduce(Reduce::sum, x.value(), axes, keep), {x},
                [shape = x.shape(), kept = kept_shape(x.shape(), axes)](const Tensor& dy) -> Gradients {
                  return dy.reshape(kept).expand(shape);
                });
}

Variable mean(const Variable& x, const std::vector<int>& axes, bool keep) {
  const Tensor y = reduce(Reduce::mean, x.value(), axes, keep);
  const double share =
      y.numel() == 0 ? 0 : static_cast<double>(y.numel()) / static_cast<double>(x.value().numel());
  return record("mean", y, {x},
                [shape = x.shape(), kept = kept_shape(x.shape(), axes),
                 share](const Tensor& dy) -> Gradients { return (dy * share).reshape(kept).expand(shape); });
}

Variable max(const Variable& x, const std::vector<int>& axes, bool keep) {
  const Tensor y = reduce(Reduce::max, x.value(), axes, keep);
  return record("max", y, {x}, [x = x.value(), y, axes](const Tensor& dy) -> Gradients {
    const Shape kept = kept_shape(x.shape(), axes);
    const Tensor is_max = compare(Compare::equal, x, y.reshape(kept)).to(dy.dtype());
    return is_max * (dy.reshape(kept) / reduce(Reduce::sum, is_max, axes, true));
  });
}

}  // namespace nabla
