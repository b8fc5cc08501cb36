// What layer_norm knows of a row. For host and device.
//
// The mean of a row whose values are nearly equal, rounded to W, is off by as much as the values differ: 1000.1 in f32 is
// one of a grid with steps of 6e-5, and eps may be 1e-8. So the mean is kept as two numbers, and a second pass, which has
// to come for the variance, also sums what the first left of the mean. Where that is not next to nothing, or a square left
// the range of W, the row is measured again in f64.
#pragma once

#include <cmath>
#include <limits>

#include "tensor/bfloat16.h"

namespace nabla {

// The mean is mean + rest; a value is centred by (x - mean) - rest, of which the first difference is exact where it is
// small.
template <class W>
struct RowMoments {
  W mean, rest, rstd;
};

// Whether a mean that is wrong by `rest` in a row of this variance is as good as any other in W, and the
// squares of the deviations did not overflow or vanish.
template <class W>
DINOMALY_HOST_DEVICE inline bool moments_hold(W rest, W variance) {
  constexpr W share = 8 * std::numeric_limits<W>::epsilon();  // of the standard deviation
  constexpr W least = static_cast<W>(1e-24), most = std::numeric_limits<W>::max();
  return rest * rest <= share * share * variance && variance >= least && variance <= most;
}

// Moments measured in f64: `rest` is the mean of x - mean.
template <class W>
DINOMALY_HOST_DEVICE inline RowMoments<W> split_moments(double mean, double rest, double variance,
                                                        double eps) {
  const W nearest = static_cast<W>(mean);
  return {nearest, static_cast<W>(mean - static_cast<double>(nearest) + rest),
          static_cast<W>(1.0 / std::sqrt(variance + eps))};
}

// Above this, rounding to f32 that rstd multiplies shows in a gradient: such rows go backward in f64.
inline constexpr double steep_rstd = 1000;

}  // namespace nabla
