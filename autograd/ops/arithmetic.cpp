// Elementwise y = a op b. Shapes broadcast by numpy's rule; a gradient is summed over the axes along which
// its operand was repeated (sum_to).
//   add: da = dy, db = dy          sub: da = dy, db = -dy
//   mul: da = dy b, db = dy a      div: da = dy / b, db = -da y
//   maximum: dy goes to the larger operand, half to each of two equal ones
//   where:   da = dy where the condition holds, db = dy where it does not
//   affine (scale * x + shift):  dx = scale dy
// Saved: nothing but shapes, except mul (each operand for the other's gradient), div (b and y), maximum (a
// and b) and where (the condition).
#include "autograd/ops/common.h"
#include "autograd/ops/ops.h"

namespace nabla {

namespace {

// A 0 that broadcasts against x.
Tensor zero_like(const Tensor& x) { return Tensor::zeros({}, x.dtype(), x.device()); }

// The gradient of an operand of `shape`.
using OperandGradient = std::function<Tensor(const Tensor& dy, const Shape& shape)>;

// Records y = a op b. The gradient that nobody wants goes, and with it what it has captured.
Variable record_binary(const char* name, const Tensor& y, const Variable& a, const Variable& b,
                       OperandGradient da, OperandGradient db) {
  if (!wants_gradient(a)) da = nullptr;
  if (!wants_gradient(b)) db = nullptr;
  return record(name, y, {a, b},
                [=, a_shape = a.shape(), b_shape = b.shape()](const Tensor& dy) -> Gradients {
                  return {da ? da(dy, a_shape) : Tensor(), db ? db(dy, b_shape) : Tensor()};
                });
}

}  // namespace

Variable add(const Variable& a, const Variable& b) {
  return record_binary("add", a.value() + b.value(), a, b, sum_to, sum_to);
}

Variable sub(const Variable& a, const Variable& b) {
  return record_binary("sub", a.value() - b.value(), a, b, sum_to,
                       [](const Tensor& dy, const Shape& shape) { return -sum_to(dy, shape); });
}

Variable mul(const Variable& a, const Variable& b) {
  return record_binary(
      "mul", a.value() * b.value(), a, b,
      [b = b.value()](const Tensor& dy, const Shape& shape) { return sum_to(dy * b, shape); },
      [a = a.value()](const Tensor& dy, const Shape& shape) { return sum_to(dy * a, shape); });
}

// Both gradients of div and of maximum share a tensor, so these two are not record_binary()'s.
Variable div(const Variable& a, const Variable& b) {
  const Tensor y = a.value() / b.value();
  const bool need_a = wants_gradient(a), need_b = wants_gradient(b);
  return record("div", y, {a, b},
                [a_shape = a.shape(), need_a, need_b, b = b.value(),
                 y = need_b ? y : Tensor()](const Tensor& dy) -> Gradients {
                  const Tensor scaled = dy / b;
                  return {need_a ? sum_to(scaled, a_shape) : Tensor(),
                          need_b ? -sum_to(scaled * y, b.shape()) : Tensor()};
                });
}

Variable maximum(const Variable& a, const Variable& b) {
  return record("maximum", binary(Binary::maximum, a.value(), b.value()), {a, b},
                [a = a.value(), b = b.value(), need_a = wants_gradient(a),
                 need_b = wants_gradient(b)](const Tensor& dy) -> Gradients {
                  const Tensor greater = compare(Compare::greater, a, b).to(dy.dtype());
                  const Tensor not_less = compare(Compare::greater_equal, a, b).to(dy.dtype());
                  const Tensor to_a = dy * (0.5 * (greater + not_less));
                  return {need_a ? sum_to(to_a, a.shape()) : Tensor(),
                          need_b ? sum_to(dy - to_a, b.shape()) : Tensor()};
                });
}

Variable where(const Tensor& condition, const Variable& a, const Variable& b) {
  return record_binary(
      "where", where(condition, a.value(), b.value()), a, b,
      [condition](const Tensor& dy, const Shape& shape) {
        return sum_to(where(condition, dy, zero_like(dy)), shape);
      },
      [condition](const Tensor& dy, const Shape& shape) {
        return sum_to(where(condition, zero_like(dy), dy), shape);
      });
}

Variable affine(const Variable& x, double scale, double shift) {
  return record("affine", unary(Unary::affine, x.value(), {scale, shift}), {x},
                [scale](const Tensor& dy) -> Gradients { return scale * dy; });
}

}  // namespace nabla
