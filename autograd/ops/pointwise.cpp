#include "autograd/ops/pointwise.h"

#include "autograd/ops/common.h"
#include "tensor/ops.h"

namespace nabla {

Variable pointwise(const char* name, Unary op, const Variable& x, Saves saves, UnaryArgs args) {
  check_alike(name, x);
  const Tensor y = unary(op, x.value(), args);
  const Tensor saved = saves == Saves::x ? x.value() : y;
  std::function<Tensor()> again;
  if (saves == Saves::x) again = [=] { return unary(op, saved, args); };
  const auto backward = [=](const Tensor& dy) -> Gradients {
    const Tensor dx = Tensor::empty(dy.shape(), dy.dtype(), dy.device());
    // The derivative reads one of the two only; the other argument is a placeholder of the same shape.
    if (dx.numel() > 0) kernels_for(dy).unary_backward(op, dy, saved, saved, args, dx);
    return dx;
  };
  return record(name, y, {x}, backward, again);
}

}  // namespace nabla
