// Dropout's decision, the same bit for bit on every device. uniform_from(word) is k / 2^24 with k = word >>
// 8, so that "uniform >= p" is an integer comparison without rounding.
#pragma once

#include <cmath>
#include <cstdint>

#include "tensor/bfloat16.h"

namespace nabla {

// The smallest k that is kept, for p in [0, 1]; 2^24 (none) for p = 1.
inline uint32_t dropout_threshold(double p) { return static_cast<uint32_t>(std::ceil(p * 0x1p24)); }

DINOMALY_HOST_DEVICE inline bool dropout_keeps(uint32_t word, uint32_t threshold) {
  return (word >> 8) >= threshold;
}

}  // namespace nabla
