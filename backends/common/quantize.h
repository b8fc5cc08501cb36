// A row of numbers as int8 with one scale: x is about scale * q with
//   scale = max |x| / 127,  q = x * (127 / max |x|) rounded to an integer, ties to even: from -127 to 127.
// So |x - scale * q| is at most half of scale, but for f32's own rounding. A row with NaN or infinity has the scale NaN and
// zeros, which makes every product with it NaN; a row of next to nothing, whose 127 / max |x| f32 does not hold, zeros.
//
// [snippet: marks]
//   -m                                0                                m
//    |....|....|....|....|....|....|..|..|....|....|....|....|....|....|
//   -127                              0                               127
// [end]
// A row with an outlier has few marks left for all else:
// [snippet: outlier]
//   x = (0.3, -0.7, 0.5, 90)         s = 90 / 127 = 0.71
//   q = (  0,   -1,   1, 127)        so x is taken for (0, -0.71, 0.71, 90)
// [end]
//
// Everybody gets the same bits: a maximum knows no order, and neither formula leaves a product to be fused with a sum.
// For host and device.
#pragma once

#include <cmath>
#include <limits>

#include "tensor/vector_math.h"

namespace nabla {

// The bits of |x| as an integer are ordered as the numbers are, with infinity and NaN above them all: an integer maximum
// is fast and passes over no NaN.
DINOMALY_HOST_DEVICE inline int32_t magnitude_bits(float x) {
  return static_cast<int32_t>(vector_math::to_bits(x) & 0x7fffffffu);
}

struct RowScale {
  float scale, inverse;  // the inverse is 0 where all q are 0
};

// Of a row whose largest magnitude_bits() are these.
DINOMALY_HOST_DEVICE inline RowScale row_scale(int32_t largest) {
  constexpr int32_t infinity = 0x7f800000;
  if (largest >= infinity) return {std::numeric_limits<float>::quiet_NaN(), 0.0f};
  const float most = vector_math::from_bits(static_cast<uint32_t>(largest));
  if (most < 0x1p-100f) return {0.0f, 0.0f};
  return {most / 127.0f, 127.0f / most};
}

// q of an x of a row with this inverse.
DINOMALY_HOST_DEVICE inline int32_t quantized(float x, float inverse) {
  return inverse == 0.0f ? 0 : static_cast<int32_t>(std::rint(x * inverse));
}

}  // namespace nabla
