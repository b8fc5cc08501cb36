// A row of numbers as int8, or as what an instruction takes for them (backends/common/quantize.h has the formulas).
#pragma once

#include <algorithm>
#include <cstdint>
#include <type_traits>

#include "backends/common/convert.h"
#include "backends/common/quantize.h"
#include "tensor/vector_math.h"

namespace nabla {

// What is quantised at once.
inline constexpr int64_t piece = 64;

// Beside so large a number f32 has no fractions: a sum with it is rounded to an integer as rint() does it, and its last bits are
// those of the integer.
inline constexpr float rounding_shift = 12582912.0f;  // 1.5 * 2^23

// The largest magnitude_bits() of x (n). Those of bf16 are the upper half of f32's: twice as many fit a register.
inline int32_t largest_magnitude(const float* x, int64_t n) {
  int32_t largest = 0;
  for (int64_t i = 0; i < n; ++i) largest = std::max(largest, magnitude_bits(x[i]));
  return largest;
}
inline int32_t largest_magnitude(const BFloat16* x, int64_t n) {
  uint16_t largest = 0;
  for (int64_t i = 0; i < n; ++i) largest = std::max<uint16_t>(largest, x[i].bits & 0x7fffu);
  return int32_t{largest} << 16;
}

// x (n) of T as q, each plus `offset`; returns its scale. q is in pieces of 64 elements, `step` from one to the next.
template <int32_t offset, class T, class Q>
float quantize_values(const T* x, int64_t n, Q* __restrict q, int64_t step) {
  const auto [scale, inverse] = row_scale(largest_magnitude(x, n));
  const auto put = [&, factor = inverse](int64_t count) {
    // As quantized(), in half the instructions. The product must not be fused with the sum (CMakeLists.txt).
    for (int64_t i = 0; i < count; ++i) {
      const uint32_t word = vector_math::to_bits(static_cast<float>(x[i]) * factor + rounding_shift);
      q[i] = static_cast<Q>(factor == 0.0f ? offset : static_cast<int32_t>(word) + offset);
    }
  };
  for (; n >= piece; n -= piece, x += piece, q += step) put(piece);
  put(n);
  return scale;
}

// The same of a row multiplied by `factors` (n) where there are any. room (n) is for what is made of it.
template <int32_t offset, class T, class Q>
float quantize_row(const T* x, const float* factors, int64_t n, float* __restrict room, Q* q,
                   int64_t step = piece) {
  if (factors == nullptr) return quantize_values<offset>(x, n, q, step);
  for (int64_t i = 0; i < n; ++i) room[i] = static_cast<float>(x[i]) * factors[i];
  return quantize_values<offset>(room, n, q, step);
}

}  // namespace nabla
