// A row of numbers as int8, or as what an instruction takes for them (backends/common/quantize.h has the formulas).
#pragma once

#include <algorithm>
#include <cstdint>
#include <type_traits>

#include "backends/common/quantize.h"

namespace nabla {

// What is quantised at once.
inline constexpr int64_t piece = 64;

// x (n) as q, each plus `offset`; returns its scale. q is in pieces of 64 elements, `step` from one to the next.
template <int32_t offset, class Q>
float quantize_values(const float* x, int64_t n, Q* __restrict q, int64_t step) {
  int32_t largest = 0;
  for (int64_t i = 0; i < n; ++i) largest = std::max(largest, magnitude_bits(x[i]));
  const auto [scale, inverse] = row_scale(largest);
  const auto put = [&](int64_t count) {
    for (int64_t i = 0; i < count; ++i) q[i] = static_cast<Q>(quantized(x[i], inverse) + offset);
  };
  for (; n >= piece; n -= piece, x += piece, q += step) put(piece);
  put(n);
  return scale;
}

// The same of a row of T, multiplied by `factors` (n) where there are any. room (n) is for what is made of it.
template <int32_t offset, class T, class Q>
float quantize_row(const T* x, const float* factors, int64_t n, float* __restrict room, Q* q,
                   int64_t step = piece) {
  if constexpr (std::is_same_v<T, float>) {
    if (factors == nullptr) return quantize_values<offset>(x, n, q, step);
  }
  if (factors == nullptr) {
    for (int64_t i = 0; i < n; ++i) room[i] = static_cast<float>(x[i]);
  } else {
    for (int64_t i = 0; i < n; ++i) room[i] = static_cast<float>(x[i]) * factors[i];
  }
  return quantize_values<offset>(room, n, q, step);
}

}  // namespace nabla
