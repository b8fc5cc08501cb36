// Every elementwise function: its name, and its value and derivative as one functor for host and device. The
// enum is the list; a loop of a backend reaches the functor by visit_unary(), visit_binary() or
// visit_compare(), once for a whole tensor.
// Arguments are of the computing type: float (for f32 and bf16), double, and for binary functions
// the integers, too.
#pragma once

#include <cmath>
#include <type_traits>
#include <utility>

#include "tensor/kernel_args.h"
#include "tensor/vector_math.h"

namespace nabla {

// `count` is no function: it stands behind the last one.
enum class Unary : int {
  neg,
  abs,
  exp,
  log,
  sqrt,
  rsqrt,
  pow,
  clamp,
  relu,
  gelu,
  silu,
  sigmoid,
  tanh,
  elu,
  affine,
  count,
};
enum class Binary : int { add, sub, mul, div, maximum, count };
enum class Compare : int { equal, not_equal, less, less_equal, greater, greater_equal, count };

// --- One argument: y = value(x), dy/dx = derivative(x, y). Members are the scalars a and b of UnaryArgs, in
// this order; a function without them has none.

template <Unary op, class T>
struct UnaryFunction;

template <class T>
struct UnaryFunction<Unary::neg, T> {  // -x;  -1
  DINOMALY_HOST_DEVICE T value(T x) const { return -x; }
  DINOMALY_HOST_DEVICE T derivative(T, T) const { return T(-1); }
};

template <class T>
struct UnaryFunction<Unary::abs, T> {  // |x|;  the sign of x, 0 at 0
  DINOMALY_HOST_DEVICE T value(T x) const { return std::fabs(x); }
  DINOMALY_HOST_DEVICE T derivative(T x, T) const { return x > T(0) ? T(1) : x < T(0) ? T(-1) : T(0); }
};

template <class T>
struct UnaryFunction<Unary::exp, T> {  // e^x;  e^x
  DINOMALY_HOST_DEVICE T value(T x) const { return vexp(x); }
  DINOMALY_HOST_DEVICE T derivative(T, T y) const { return y; }
};

template <class T>
struct UnaryFunction<Unary::log, T> {  // ln x;  1 / x
  DINOMALY_HOST_DEVICE T value(T x) const { return std::log(x); }
  DINOMALY_HOST_DEVICE T derivative(T x, T) const { return T(1) / x; }
};

template <class T>
struct UnaryFunction<Unary::sqrt, T> {  // sqrt(x);  1 / (2 sqrt(x))
  DINOMALY_HOST_DEVICE T value(T x) const { return std::sqrt(x); }
  DINOMALY_HOST_DEVICE T derivative(T, T y) const { return T(0.5) / y; }
};

template <class T>
struct UnaryFunction<Unary::rsqrt, T> {  // 1 / sqrt(x);  -1/2 x^(-3/2)
  DINOMALY_HOST_DEVICE T value(T x) const { return T(1) / std::sqrt(x); }
  DINOMALY_HOST_DEVICE T derivative(T, T y) const { return T(-0.5) * y * y * y; }
};

template <class T>
struct UnaryFunction<Unary::pow, T> {  // x^a;  a x^(a-1), 0 for a = 0
  T a;
  DINOMALY_HOST_DEVICE T value(T x) const { return a == T(2) ? x * x : std::pow(x, a); }
  DINOMALY_HOST_DEVICE T derivative(T x, T) const {
    if (a == T(0)) return T(0);
    return a == T(2) ? T(2) * x : a * std::pow(x, a - T(1));
  }
};

template <class T>
struct UnaryFunction<Unary::clamp,
                     T> {  // x moved into [low, high]; NaN stays;  1 inside and on the bounds, else 0
  T low, high;
  DINOMALY_HOST_DEVICE T value(T x) const { return x < low ? low : x > high ? high : x; }
  DINOMALY_HOST_DEVICE T derivative(T x, T) const { return x >= low && x <= high ? T(1) : T(0); }
};

template <class T>
struct UnaryFunction<Unary::relu, T> {  // max(x, 0); NaN stays;  1 for x > 0, else 0
  DINOMALY_HOST_DEVICE T value(T x) const { return x < T(0) ? T(0) : x; }
  DINOMALY_HOST_DEVICE T derivative(T x, T) const { return x > T(0) ? T(1) : T(0); }
};

template <class T>
struct UnaryFunction<Unary::gelu,
                     T> {  // x Phi(x), Phi the normal distribution;  Phi(x) + x phi(x), phi its density
  DINOMALY_HOST_DEVICE T value(T x) const { return x * vnormal(x).cdf; }
  DINOMALY_HOST_DEVICE T derivative(T x, T) const {
    const NormalValues<T> normal = vnormal(x);
    return normal.cdf + x * normal.density;
  }
};

template <class T>
struct UnaryFunction<Unary::silu, T> {  // x s, s = sigmoid(x);  s (1 + x (1 - s))
  DINOMALY_HOST_DEVICE T value(T x) const { return x * vsigmoid(x); }
  DINOMALY_HOST_DEVICE T derivative(T x, T) const {
    const T s = vsigmoid(x);
    return s * (T(1) + x * (T(1) - s));
  }
};

template <class T>
struct UnaryFunction<Unary::sigmoid, T> {  // 1 / (1 + e^-x);  y (1 - y)
  DINOMALY_HOST_DEVICE T value(T x) const { return vsigmoid(x); }
  DINOMALY_HOST_DEVICE T derivative(T, T y) const { return y * (T(1) - y); }
};

template <class T>
struct UnaryFunction<Unary::tanh, T> {  // tanh(x);  1 - y^2
  DINOMALY_HOST_DEVICE T value(T x) const { return vtanh(x); }
  DINOMALY_HOST_DEVICE T derivative(T, T y) const { return T(1) - y * y; }
};

template <class T>
struct UnaryFunction<Unary::elu, T> {  // x for x > 0, else alpha (e^x - 1);  1 for x > 0, else alpha e^x
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
struct UnaryFunction<Unary::affine, T> {  // a x + b;  a
  T a, b;
  DINOMALY_HOST_DEVICE T value(T x) const { return a * x + b; }
  DINOMALY_HOST_DEVICE T derivative(T, T) const { return a; }
};

// --- Two arguments.

template <Binary op>
struct BinaryFunction;

template <>
struct BinaryFunction<Binary::add> {
  template <class T>
  DINOMALY_HOST_DEVICE T operator()(T a, T b) const {
    return static_cast<T>(a + b);
  }
};
template <>
struct BinaryFunction<Binary::sub> {
  template <class T>
  DINOMALY_HOST_DEVICE T operator()(T a, T b) const {
    return static_cast<T>(a - b);
  }
};
template <>
struct BinaryFunction<Binary::mul> {
  template <class T>
  DINOMALY_HOST_DEVICE T operator()(T a, T b) const {
    return static_cast<T>(a * b);
  }
};
template <>
struct BinaryFunction<Binary::div> {
  template <class T>
  DINOMALY_HOST_DEVICE T operator()(T a, T b) const {
    return static_cast<T>(a / b);
  }
};
template <>
struct BinaryFunction<Binary::maximum> {  // NaN if either is
  template <class T>
  DINOMALY_HOST_DEVICE T operator()(T a, T b) const {
    return a > b || a != a ? a : b;  // NOLINT(misc-redundant-expression): a != a is the test for NaN
  }
};

template <Compare op>
struct CompareFunction;

template <>
struct CompareFunction<Compare::equal> {
  template <class T>
  DINOMALY_HOST_DEVICE bool operator()(T a, T b) const {
    return a == b;
  }
};
template <>
struct CompareFunction<Compare::not_equal> {
  template <class T>
  DINOMALY_HOST_DEVICE bool operator()(T a, T b) const {
    return a != b;
  }
};
template <>
struct CompareFunction<Compare::less> {
  template <class T>
  DINOMALY_HOST_DEVICE bool operator()(T a, T b) const {
    return a < b;
  }
};
template <>
struct CompareFunction<Compare::less_equal> {
  template <class T>
  DINOMALY_HOST_DEVICE bool operator()(T a, T b) const {
    return a <= b;
  }
};
template <>
struct CompareFunction<Compare::greater> {
  template <class T>
  DINOMALY_HOST_DEVICE bool operator()(T a, T b) const {
    return a > b;
  }
};
template <>
struct CompareFunction<Compare::greater_equal> {
  template <class T>
  DINOMALY_HOST_DEVICE bool operator()(T a, T b) const {
    return a >= b;
  }
};

// Those that kernels combine partial results with.
namespace elementwise {
using Add = BinaryFunction<Binary::add>;
using Div = BinaryFunction<Binary::div>;
using Maximum = BinaryFunction<Binary::maximum>;
}  // namespace elementwise

// Calls function(std::integral_constant<Enum, op>{}): the value known at run time becomes one known
// to the compiler.
template <class Enum, class Function>
void visit_enum(Enum op, const Function& function) {
  const auto try_all = [&]<int... i>(std::integer_sequence<int, i...>) {
    const auto call = [&](auto candidate) {
      if (candidate == op) function(candidate);
    };
    (call(std::integral_constant<Enum, static_cast<Enum>(i)>{}), ...);
  };
  try_all(std::make_integer_sequence<int, static_cast<int>(Enum::count)>{});
}

// Calls function(functor) with the one that computes `op` in T.
template <class T, class Function>
void visit_unary(Unary op, UnaryArgs args, const Function& function) {
  const T a = static_cast<T>(args.a), b = static_cast<T>(args.b);
  visit_enum(op, [&](auto constant) {
    using Functor = UnaryFunction<constant(), T>;
    if constexpr (requires { Functor{a, b}; }) {
      function(Functor{a, b});
    } else if constexpr (requires { Functor{a}; }) {
      function(Functor{a});
    } else {
      function(Functor{});
    }
  });
}

template <class Function>
void visit_binary(Binary op, const Function& function) {
  visit_enum(op, [&](auto constant) { function(BinaryFunction<constant()>{}); });
}

template <class Function>
void visit_compare(Compare op, const Function& function) {
  visit_enum(op, [&](auto constant) { function(CompareFunction<constant()>{}); });
}

}  // namespace nabla
