#include "tensor/vector_math.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <limits>

using namespace nabla;

namespace {

// The largest relative error of `function` against the double version over [low, high].
template <class Function, class Exact>
double worst(double low, double high, const Function& function, const Exact& exact) {
  double largest = 0;
  for (int i = 0; i <= 100000; ++i) {
    const float x = static_cast<float>(low + (high - low) * i / 100000);
    const double expected = exact(static_cast<double>(x));
    if (expected == 0) continue;
    largest = std::max(largest, std::abs(function(x) - expected) / std::abs(expected));
  }
  return largest;
}

template <class T>
T gelu(T x) {
  return x * vnormal(x).cdf;
}

constexpr float infinity = std::numeric_limits<float>::infinity();
constexpr float not_a_number = std::numeric_limits<float>::quiet_NaN();

}  // namespace

TEST_CASE("vector_math: relative errors") {
  CHECK(worst(
            -87, 88.7, [](float x) { return vexp(x); }, [](double x) { return std::exp(x); }) < 1.2e-7);
  CHECK(worst(
            -125, 0, [](float x) { return vexp2_negative(x); }, [](double x) { return std::exp2(x); }) <
        1.2e-7);
  CHECK(worst(
            -20, 20, [](float x) { return vexpm1(x); }, [](double x) { return std::expm1(x); }) < 1.8e-7);
  CHECK(worst(
            -1e-3, 1e-3, [](float x) { return vexpm1(x); }, [](double x) { return std::expm1(x); }) < 1.8e-7);
  CHECK(worst(
            -6, 6, [](float x) { return verf(x); }, [](double x) { return std::erf(x); }) < 2.4e-7);
  CHECK(worst(
            -12, 12, [](float x) { return vtanh(x); }, [](double x) { return std::tanh(x); }) < 1.8e-7);
  CHECK(worst(
            -20, 20, [](float x) { return vsigmoid(x); }, [](double x) { return 1 / (1 + std::exp(-x)); }) <
        3e-7);
  // The tail of (1 + erf) / 2 in float would be wrong by 1e-3 at -5.
  CHECK(worst(
            -5, 12, [](float x) { return gelu(x); },
            [](double x) { return 0.5 * x * std::erfc(-x / std::sqrt(2)); }) < 1e-6);
  CHECK(worst(
            -5, 5, [](float x) { return vnormal(x).density; },
            [](double x) { return 0.398942280401432678 * std::exp(-0.5 * x * x); }) < 1e-6);
}

TEST_CASE("vector_math: where float ends") {
  CHECK(vexp(89.0f) == infinity);
  CHECK(vexp(infinity) == infinity);
  CHECK(vexp(-infinity) == 0.0f);
  CHECK(vexp(-1e30f) == 0.0f);
  CHECK(vexp(-100.0f) == doctest::Approx(std::exp(-100.0)).epsilon(0.02));  // subnormal
  CHECK(vexp(0.0f) == 1.0f);
  CHECK(vexp2_negative(0.0f) == 1.0f);
  CHECK(vexp2_negative(-130.0f) == 0.0f);
  CHECK(vexp2_negative(-infinity) == 0.0f);
  CHECK(vexpm1(-infinity) == -1.0f);
  CHECK(verf(infinity) == 1.0f);
  CHECK(verf(-infinity) == -1.0f);
  CHECK(vtanh(infinity) == 1.0f);
  CHECK(vtanh(-infinity) == -1.0f);
  CHECK(vsigmoid(-infinity) == 0.0f);
  CHECK(vnormal(infinity).cdf == 1.0f);
  CHECK(vnormal(-infinity).cdf == 0.0f);
  const float x = not_a_number;
  for (float value :
       {vexp(x), vexp2_negative(x), vexpm1(x), verf(x), vtanh(x), vsigmoid(x), vnormal(x).cdf}) {
    CHECK_UNARY(std::isnan(value));
  }
}
