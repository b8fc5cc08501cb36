// exp, erf, tanh and friends for host and device. The float versions have no branches and no calls, so that
// loops over them become vector code; their errors are a few units in the last place (measured in
// tests/tensor/vector_math_test.cpp). The polynomials are minimax fits (Lawson's iteration). The double
// versions are the standard library's.
#pragma once

#include <cmath>
#include <cstdint>
#include <cstring>

#include "tensor/bfloat16.h"

namespace nabla {

namespace vector_math {

DINOMALY_HOST_DEVICE inline float from_bits(uint32_t bits) {
  float value;
  memcpy(&value, &bits, sizeof value);
  return value;
}
DINOMALY_HOST_DEVICE inline uint32_t to_bits(float value) {
  uint32_t bits;
  memcpy(&bits, &value, sizeof bits);
  return bits;
}

// c[0] + c[1] x + ... by Horner's rule.
template <int count>
DINOMALY_HOST_DEVICE inline float polynomial(const float (&c)[count], float x) {
  float sum = c[count - 1];
  for (int i = count - 2; i >= 0; --i) sum = sum * x + c[i];
  return sum;
}

// erfc(x) exp(x^2) for x >= 0, as t P(t) with t = 1 / (1 + 0.4 x); relative error 1e-8 for x <= 10.
DINOMALY_HOST_DEVICE inline float scaled_erfc(float x) {
  constexpr float c[] = {0.22570367619f,  0.22501525558f, 0.21439089761f,  0.13215564694f, 0.26487623188f,
                         -0.27092781848f, 0.53123242773f, -0.48663287423f, 0.19282372623f, -0.02863716041f};
  const float t = 1.0f / (1.0f + 0.4f * x);
  return t * polynomial(c, t);
}

}  // namespace vector_math

// e^x = 2^n e^r with n the nearest integer to x / ln 2, for -104 <= x <= 89.
struct ExpParts {
  float mantissa;  // e^r
  uint32_t n;      // modulo 2^32
};
DINOMALY_HOST_DEVICE inline ExpParts exp_parts(float x) {
  constexpr float c[] = {0.50000000681f, 0.16666665863f, 0.04166629329f,
                         0.00833349782f, 0.00139447845f, 0.00019790224f};
  constexpr float magic = 12582912.0f;  // 1.5 * 2^23: adding it rounds to an integer, kept in the low bits
  const float shifted = x * 1.44269504089f + magic;
  const float n = shifted - magic;
  const float r = (x - n * 0.693359375f) + n * 2.12194440e-4f;  // ln 2 in two parts
  return {1.0f + (r + r * r * vector_math::polynomial(c, r)),
          vector_math::to_bits(shifted) - vector_math::to_bits(magic)};
}

// e^x. 0 and infinity where float ends; NaN stays NaN.
DINOMALY_HOST_DEVICE inline float vexp(float x) {
  const float low = x < -104.0f ? -104.0f : x;
  const auto [mantissa, n] = exp_parts(low > 89.0f ? 89.0f : low);
  // 2^n in two factors: n reaches from -150 to 128, one factor alone does not.
  const uint32_t exponent = n + 512, half = exponent >> 1;
  const float first = vector_math::from_bits((half - 256 + 127) << 23);
  const float second = vector_math::from_bits((exponent - half - 256 + 127) << 23);
  return mantissa * first * second;
}
DINOMALY_HOST_DEVICE inline double vexp(double x) { return std::exp(x); }

// e^x for x <= 0 in two thirds of the time; below -87, where e^x is less than any normal float, e^-87.
DINOMALY_HOST_DEVICE inline float vexp_negative(float x) {
  const auto [mantissa, n] = exp_parts(x < -87.0f ? -87.0f : x);
  return mantissa * vector_math::from_bits((n + 127) << 23);
}
DINOMALY_HOST_DEVICE inline double vexp_negative(double x) { return std::exp(x); }

// How 2^x for x <= 0 is computed.
struct Exp2Fit {
  float terms[7];  // of 2^r with |r| <= 1/2
  float magic;     // adding it rounds to the integer n, and leaves n + 127 in the low bits: 2^n's exponent
  float
      least;  // below, 2^x is taken for 0: no step is of subnormal numbers, which take a hundred times as long
};
DINOMALY_HOST_DEVICE constexpr Exp2Fit exp2_fit() {
  return {{1.0f, 0.693147206f, 0.240226469f, 0.0555032878f, 0.00961848896f, 0.00133999312f, 0.000153458119f},
          12582912.0f + 127,
          -125.0f};
}

// 2^x for x <= 0, in half the time of e^x: a factor of log2(e) costs nothing where x is multiplied by one anyway.
DINOMALY_HOST_DEVICE inline float vexp2_negative(float x) {
  constexpr Exp2Fit fit = exp2_fit();
  const float shifted = x + fit.magic;
  const float mantissa = vector_math::polynomial(fit.terms, x - (shifted - fit.magic));
  return x < fit.least ? 0.0f : mantissa * vector_math::from_bits(vector_math::to_bits(shifted) << 23);
}
DINOMALY_HOST_DEVICE inline double vexp2_negative(double x) { return std::exp2(x); }

// e^x - 1, exact near 0, too.
DINOMALY_HOST_DEVICE inline float vexpm1(float x) {
  constexpr float c[] = {0.50000003854f, 0.16666663985f, 0.04166535857f,
                         0.00833357905f, 0.00139961772f, 0.00019849807f};
  const float near = x + x * x * vector_math::polynomial(c, x);
  const float far = vexp(x) - 1.0f;
  return x > -0.5f && x < 0.5f ? near : far;
}
DINOMALY_HOST_DEVICE inline double vexpm1(double x) { return std::expm1(x); }

// erf(x) = 2 / sqrt(pi) * integral of e^(-t^2) from 0 to x.
DINOMALY_HOST_DEVICE inline float verf(float x) {
  constexpr float c[] = {1.12837916573f, -0.37612625824f, 0.11283585147f, -0.02685381187f,
                         0.00518832756f, -0.00080101925f, 0.00007853858f};
  const float size = std::fabs(x);
  const float square = size * size;
  const float near = x * vector_math::polynomial(c, square);
  const float tail = 1.0f - vexp(-square) * vector_math::scaled_erfc(size);
  const float far = x < 0.0f ? -tail : tail;
  return size < 1.0f ? near : far;
}
DINOMALY_HOST_DEVICE inline double verf(double x) { return std::erf(x); }

DINOMALY_HOST_DEVICE inline float vtanh(float x) {
  constexpr float c[] = {0.99999999630f,  -0.33333263380f, 0.13331185768f,
                         -0.05372523159f, 0.02060314707f,  -0.00567242167f};
  const float size = std::fabs(x);
  const float near = x * vector_math::polynomial(c, size * size);
  const float tail = 1.0f - 2.0f / (vexp(2.0f * size) + 1.0f);
  const float far = x < 0.0f ? -tail : tail;
  return size < 0.625f ? near : far;
}
DINOMALY_HOST_DEVICE inline double vtanh(double x) { return std::tanh(x); }

// 1 / (1 + e^-x).
template <class T>
DINOMALY_HOST_DEVICE inline T vsigmoid(T x) {
  return T(1) / (T(1) + vexp(-x));
}

// The standard normal distribution at one place: its density, and its integral up to there. GELU is x *
// cdf, its derivative cdf + x * density. The negative tail keeps its relative accuracy, which (1 + erf) /
// 2 would lose.
template <class T>
struct NormalValues {
  T cdf, density;
};
DINOMALY_HOST_DEVICE inline NormalValues<float> vnormal(float x) {
  const float bell = vexp(-0.5f * x * x);
  const float tail = 0.5f * bell * vector_math::scaled_erfc(0.70710678119f * std::fabs(x));
  return {x < 0.0f ? tail : 1.0f - tail, 0.39894228040f * bell};
}
DINOMALY_HOST_DEVICE inline NormalValues<double> vnormal(double x) {
  return {0.5 * std::erfc(-0.70710678118654752440 * x), 0.39894228040143267794 * std::exp(-0.5 * x * x)};
}

}  // namespace nabla
