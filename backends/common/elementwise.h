// Every elementwise function as one functor, value and derivative side by side, for host and device.
// Arguments are of the computing type: float (for f32 and bf16), double, and for binary functions the
// integers, too.
#pragma once

#include <cmath>

#include "backends/common/vector_math.h"
#include "tensor/kernels.h"

namespace nabla {

namespace elementwise {

// --- One argument: y = value(x), dy/dx = derivative(x, y).

template <class T>
struct Neg {  // -x;  -1
  DINOMALY_HOST_DEVICE T value(T x) const { return -x; }
  DINOMALY_HOST_DEVICE T derivative(T, T) const { return T(-1); }
};

template <class T>
struct Abs {  // |x|;  the sign of x, 0 at 0
  DINOMALY_HOST_DEVICE T value(T x) const { return std::fabs(x); }
  DINOMALY_HOST_DEVICE T derivative(T x, T) const { return x > T(0) ? T(1) : x < T(0) ? T(-1) : T(0); }
};

template <class T>
struct Exp {  // e^x;  e^x
  DINOMALY_HOST_DEVICE T value(T x) const { return vexp(x); }
  DINOMALY_HOST_DEVICE T derivative(T, T y) const { return y; }
};

template <class T>
struct Log {  // ln x;  1 / x
  DINOMALY_HOST_DEVICE T value(T x) const { return std::log(x); }
  DINOMALY_HOST_DEVICE T derivative(T x, T) const { return T(1) / x; }
};

template <class T>
struct Sqrt {  // sqrt(x);  1 / (2 sqrt(x))
  DINOMALY_HOST_DEVICE T value(T x) const { return std::sqrt(x); }
  DINOMALY_HOST_DEVICE T derivative(T, T y) const { return T(0.5) / y; }
};

template <class T>
struct Rsqrt {  // 1 / sqrt(x);  -1/2 x^(-3/2)
  DINOMALY_HOST_DEVICE T value(T x) const { return T(1) / std::sqrt(x); }
  DINOMALY_HOST_DEVICE T derivative(T, T y) const { return T(-0.5) * y * y * y; }
};

template <class T>
struct Pow {  // x^a;  a x^(a-1), 0 for a = 0
  T a;
  DINOMALY_HOST_DEVICE T value(T x) const { return a == T(2) ? x * x : std::pow(x, a); }
  DINOMALY_HOST_DEVICE T derivative(T x, T) const {
    if (a == T(0)) return T(0);
    return a == T(2) ? T(2) * x : a * std::pow(x, a - T(1));
  }
};

template <class T>
struct Clamp {  // x moved into [low, high]; NaN stays;  1 inside and on the bounds, else 0
  T low, high;
  DINOMALY_HOST_DEVICE T value(T x) const { return x < low ? low : x > high ? high : x; }
  DINOMALY_HOST_DEVICE T derivative(T x, T) const { return x >= low && x <= high ? T(1) : T(0); }
};

template <class T>
struct Relu {  // max(x, 0); NaN stays;  1 for x > 0, else 0
  DINOMALY_HOST_DEVICE T value(T x) const { return x < T(0) ? T(0) : x; }
  DINOMALY_HOST_DEVICE T derivative(T x, T) const { return x > T(0) ? T(1) : T(0); }
};

template <class T>
struct Gelu {  // x Phi(x), Phi the normal distribution;  Phi(x) + x phi(x), phi its density
  DINOMALY_HOST_DEVICE T value(T x) const { return x * vnormal(x).cdf; }
  DINOMALY_HOST_DEVICE T derivative(T x, T) const {
    const NormalValues<T> normal = vnormal(x);
    return normal.cdf + x * normal.density;
  }
};

template <class T>
struct Silu {  // x s, s = sigmoid(x);  s (1 + x (1 - s))
  DINOMALY_HOST_DEVICE T value(T x) const { return x * vsigmoid(x); }
  DINOMALY_HOST_DEVICE T derivative(T x, T) const {
    const T s = vsigmoid(x);
    return s * (T(1) + x * (T(1) - s));
  }
};

template <class T>
struct Sigmoid {  // 1 / (1 + e^-x);  y (1 - y)
  DINOMALY_HOST_DEVICE T value(T x) const { return vsigmoid(x); }
  DINOMALY_HOST_DEVICE T derivative(T, T y) const { return y * (T(1) - y); }
};

template <class T>
struct Tanh {  // tanh(x);  1 - y^2
  DINOMALY_HOST_DEVICE T value(T x) const { return vtanh(x); }
  DINOMALY_HOST_DEVICE T derivative(T, T y) const { return T(1) - y * y; }
};

template <class T>
struct Elu {  // x for x > 0, else alpha (e^x - 1);  1 for x > 0, else alpha e^x
  T alpha;
  DINOMALY_HOST_DEVICE T value(T x) const {
    const T below = alpha * vexpm1(x);
    return x > T(0) ? x : below;
  }
  DINOMALY_HOST_DEVICE T derivative(T x, T) const {
    const T below = alpha * vexp(x);
    return x > T(0) ? T(1) : below;
  }
};

template <class T>
struct Affine {  // a x + b;  a
  T a, b;
  DINOMALY_HOST_DEVICE T value(T x) const { return a * x + b; }
  DINOMALY_HOST_DEVICE T derivative(T, T) const { return a; }
};

// --- Two arguments.

struct Add {
  template <class T>
  DINOMALY_HOST_DEVICE T operator()(T a, T b) const {
    return static_cast<T>(a + b);
  }
};
struct Sub {
  template <class T>
  DINOMALY_HOST_DEVICE T operator()(T a, T b) const {
    return static_cast<T>(a - b);
  }
};
struct Mul {
  template <class T>
  DINOMALY_HOST_DEVICE T operator()(T a, T b) const {
    return static_cast<T>(a * b);
  }
};
struct Div {
  template <class T>
  DINOMALY_HOST_DEVICE T operator()(T a, T b) const {
    return static_cast<T>(a / b);
  }
};
struct Maximum {  // NaN if either is
  template <class T>
  DINOMALY_HOST_DEVICE T operator()(T a, T b) const {
    return a > b || a != a ? a : b;
  }
};

struct Equal {
  template <class T>
  DINOMALY_HOST_DEVICE bool operator()(T a, T b) const {
    return a == b;
  }
};
struct NotEqual {
  template <class T>
  DINOMALY_HOST_DEVICE bool operator()(T a, T b) const {
    return a != b;
  }
};
struct Less {
  template <class T>
  DINOMALY_HOST_DEVICE bool operator()(T a, T b) const {
    return a < b;
  }
};
struct LessEqual {
  template <class T>
  DINOMALY_HOST_DEVICE bool operator()(T a, T b) const {
    return a <= b;
  }
};
struct Greater {
  template <class T>
  DINOMALY_HOST_DEVICE bool operator()(T a, T b) const {
    return a > b;
  }
};
struct GreaterEqual {
  template <class T>
  DINOMALY_HOST_DEVICE bool operator()(T a, T b) const {
    return a >= b;
  }
};

}  // namespace elementwise

// From the enum to the functor: calls function(functor) with the one that computes `op` in T.
template <class T, class Function>
void visit_unary(Unary op, UnaryArgs args, Function&& function) {
  const T a = static_cast<T>(args.a), b = static_cast<T>(args.b);
  switch (op) {
    case Unary::neg:
      return function(elementwise::Neg<T>{});
    case Unary::abs:
      return function(elementwise::Abs<T>{});
    case Unary::exp:
      return function(elementwise::Exp<T>{});
    case Unary::log:
      return function(elementwise::Log<T>{});
    case Unary::sqrt:
      return function(elementwise::Sqrt<T>{});
    case Unary::rsqrt:
      return function(elementwise::Rsqrt<T>{});
    case Unary::pow:
      return function(elementwise::Pow<T>{a});
    case Unary::clamp:
      return function(elementwise::Clamp<T>{a, b});
    case Unary::relu:
      return function(elementwise::Relu<T>{});
    case Unary::gelu:
      return function(elementwise::Gelu<T>{});
    case Unary::silu:
      return function(elementwise::Silu<T>{});
    case Unary::sigmoid:
      return function(elementwise::Sigmoid<T>{});
    case Unary::tanh:
      return function(elementwise::Tanh<T>{});
    case Unary::elu:
      return function(elementwise::Elu<T>{a});
    case Unary::affine:
      return function(elementwise::Affine<T>{a, b});
  }
}

template <class Function>
void visit_binary(Binary op, Function&& function) {
  switch (op) {
    case Binary::add:
      return function(elementwise::Add{});
    case Binary::sub:
      return function(elementwise::Sub{});
    case Binary::mul:
      return function(elementwise::Mul{});
    case Binary::div:
      return function(elementwise::Div{});
    case Binary::maximum:
      return function(elementwise::Maximum{});
  }
}

template <class Function>
void visit_compare(Compare op, Function&& function) {
  switch (op) {
    case Compare::equal:
      return function(elementwise::Equal{});
    case Compare::not_equal:
      return function(elementwise::NotEqual{});
    case Compare::less:
      return function(elementwise::Less{});
    case Compare::less_equal:
      return function(elementwise::LessEqual{});
    case Compare::greater:
      return function(elementwise::Greater{});
    case Compare::greater_equal:
      return function(elementwise::GreaterEqual{});
  }
}

}  // namespace nabla
