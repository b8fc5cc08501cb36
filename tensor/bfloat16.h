// bfloat16: the upper half of a float32 (1 sign, 8 exponent, 7 mantissa bits). Storage only: arithmetic
// happens in float after conversion, for which both directions are implicit.
#pragma once

#include <cstdint>
#include <cstring>

#ifdef __CUDACC__
#define DINOMALY_HOST_DEVICE __host__ __device__
#else
#define DINOMALY_HOST_DEVICE
#endif

namespace nabla {

struct BFloat16 {
  uint16_t bits = 0;

  BFloat16() = default;
  // Rounds to nearest, ties to even; NaN stays NaN.
  DINOMALY_HOST_DEVICE BFloat16(float value) {
    uint32_t word;
    memcpy(&word, &value, sizeof word);
    const bool is_nan = (word & 0x7fffffffu) > 0x7f800000u;
    const uint32_t rounded = word + 0x7fffu + ((word >> 16) & 1u);
    bits = static_cast<uint16_t>(is_nan ? (word >> 16) | 0x40u : rounded >> 16);
  }
  DINOMALY_HOST_DEVICE operator float() const {
    const uint32_t word = static_cast<uint32_t>(bits) << 16;
    float value;
    memcpy(&value, &word, sizeof value);
    return value;
  }
};

}  // namespace nabla
