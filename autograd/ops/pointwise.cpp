// Elementwise y = f(x) of any shape; dx = dy f'(x). f and f' of each function stand side by side in
// backends/common/elementwise.h, as one functor for every device.
// Saved: whichever of x and y the derivative is written in (both would double what an activation keeps). From
// a saved x, y can be made again.
#include "autograd/ops/common.h"
#include "autograd/ops/ops.h"

namespace nabla {

namespace {

enum class Saves { x, y };

Variable pointwise(const char* name, Unary op, const Variable& x, Saves saves, UnaryArgs args = {}) {
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

}  // namespace

Variable neg(const Variable& x) { return pointwise("neg", Unary::neg, x, Saves::x); }
Variable abs(const Variable& x) { return pointwise("abs", Unary::abs, x, Saves::x); }
Variable exp(const Variable& x) { return pointwise("exp", Unary::exp, x, Saves::y); }
Variable log(const Variable& x) { return pointwise("log", Unary::log, x, Saves::x); }
Variable sqrt(const Variable& x) { return pointwise("sqrt", Unary::sqrt, x, Saves::y); }
Variable rsqrt(const Variable& x) { return pointwise("rsqrt", Unary::rsqrt, x, Saves::y); }
Variable pow(const Variable& x, double exponent) {
  return pointwise("pow", Unary::pow, x, Saves::x, {exponent, 0});
}
Variable relu(const Variable& x) { return pointwise("relu", Unary::relu, x, Saves::x); }
Variable gelu(const Variable& x) { return pointwise("gelu", Unary::gelu, x, Saves::x); }
Variable silu(const Variable& x) { return pointwise("silu", Unary::silu, x, Saves::x); }
Variable sigmoid(const Variable& x) { return pointwise("sigmoid", Unary::sigmoid, x, Saves::y); }
Variable tanh(const Variable& x) { return pointwise("tanh", Unary::tanh, x, Saves::y); }
Variable elu(const Variable& x, double alpha) {
  return pointwise("elu", Unary::elu, x, Saves::x, {alpha, 0});
}

Variable clamp(const Variable& x, double low, double high) {
  check(low <= high, "clamp: the lower bound {} is above the upper bound {}", low, high);
  return pointwise("clamp", Unary::clamp, x, Saves::x, {low, high});
}

}  // namespace nabla
