// Elementwise y = f(x) of any shape; dx = dy f'(x). One line an op: f and f' of each function stand side by
// side in tensor/elementwise.h, as one functor for every device.
// Saved: whichever of x and y the derivative is written in (both would double what an activation keeps). From
// a saved x, y can be made again.
#pragma once

#include "autograd/variable.h"
#include "tensor/elementwise.h"
#include "tensor/error.h"

namespace nabla {

enum class Saves { x, y };  // what the derivative reads

// y = op(x), recorded on the tape as `name`.
Variable pointwise(const char* name, Unary op, const Variable& x, Saves saves, UnaryArgs args = {});

inline Variable neg(const Variable& x) { return pointwise("neg", Unary::neg, x, Saves::x); }
inline Variable abs(const Variable& x) {
  return pointwise("abs", Unary::abs, x, Saves::x);
}  // derivative 0 at 0
inline Variable exp(const Variable& x) { return pointwise("exp", Unary::exp, x, Saves::y); }
inline Variable log(const Variable& x) { return pointwise("log", Unary::log, x, Saves::x); }
inline Variable sqrt(const Variable& x) { return pointwise("sqrt", Unary::sqrt, x, Saves::y); }
inline Variable rsqrt(const Variable& x) { return pointwise("rsqrt", Unary::rsqrt, x, Saves::y); }
inline Variable relu(const Variable& x) {
  return pointwise("relu", Unary::relu, x, Saves::x);
}  // derivative 0 at 0
inline Variable gelu(const Variable& x) {
  return pointwise("gelu", Unary::gelu, x, Saves::x);
}  // exact: x Phi(x)
inline Variable silu(const Variable& x) { return pointwise("silu", Unary::silu, x, Saves::x); }
inline Variable sigmoid(const Variable& x) { return pointwise("sigmoid", Unary::sigmoid, x, Saves::y); }
inline Variable tanh(const Variable& x) { return pointwise("tanh", Unary::tanh, x, Saves::y); }
inline Variable elu(const Variable& x, double alpha = 1.0) {
  return pointwise("elu", Unary::elu, x, Saves::x, {alpha, 0});
}
inline Variable pow(const Variable& x, double exponent) {
  return pointwise("pow", Unary::pow, x, Saves::x, {exponent, 0});
}
inline Variable clamp(const Variable& x, double low, double high) {  // derivative 1 on the bounds
  check(low <= high, "clamp: the lower bound {} is above the upper bound {}", low, high);
  return pointwise("clamp", Unary::clamp, x, Saves::x, {low, high});
}

}  // namespace nabla
