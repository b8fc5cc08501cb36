// Where an output coordinate of interpolate finds its inputs, along one axis. For host and device.
#pragma once

#include <cmath>
#include <cstdint>

#include "tensor/kernel_args.h"

namespace nabla {

// How one axis of m inputs becomes n outputs.
struct InterpolateAxis {
  InterpolateMode mode;
  bool align_corners;
  int64_t m, n;
  double scale;      // inputs per output
  bool given_scale;  // the caller's, not m / n

  static InterpolateAxis make(const InterpolateArgs& args, double scale, int64_t m, int64_t n) {
    const bool aligned = args.align_corners && args.mode != InterpolateMode::nearest;
    const double natural = static_cast<double>(m) / static_cast<double>(n);
    const double corners = n > 1 ? static_cast<double>(m - 1) / static_cast<double>(n - 1) : 0.0;
    return {args.mode, aligned, m, n, aligned ? corners : scale > 0 ? scale : natural, scale > 0};
  }
};

inline constexpr int most_interpolation_taps = 4;
DINOMALY_HOST_DEVICE inline int interpolation_taps(InterpolateMode mode) {
  return mode == InterpolateMode::nearest ? 1 : mode == InterpolateMode::bilinear ? 2 : 4;
}

// Output = sum of weight[k] * input[index[k]] over the first interpolation_taps(mode) entries.
struct InterpolationTaps {
  int64_t index[most_interpolation_taps];
  double weight[most_interpolation_taps];
};

// The cubic convolution kernel with a = -0.75 (Keys, "Cubic convolution interpolation for digital image
// processing", 1981) at distance x in [0, 1], and in [1, 2].
DINOMALY_HOST_DEVICE inline double cubic_near(double x) {
  return ((-0.75 + 2) * x - (-0.75 + 3)) * x * x + 1;
}
DINOMALY_HOST_DEVICE inline double cubic_far(double x) {
  return ((-0.75 * x + 0.75 * 5) * x - 0.75 * 8) * x + 0.75 * 4;
}

DINOMALY_HOST_DEVICE inline InterpolationTaps interpolation_taps(const InterpolateAxis& axis, int64_t i) {
  const int64_t last = axis.m - 1;
  const auto clamped = [last](int64_t at) { return at < 0 ? 0 : at > last ? last : at; };
  if (axis.mode == InterpolateMode::nearest) {
    // m / n itself needs no rounding: whole numbers give the exact floor.
    const int64_t at = axis.given_scale
                           ? static_cast<int64_t>(std::floor(static_cast<double>(i) * axis.scale))
                           : i * axis.m / axis.n;
    return {{clamped(at), 0, 0, 0}, {1, 0, 0, 0}};
  }
  double place = axis.align_corners ? static_cast<double>(i) * axis.scale
                                    : (static_cast<double>(i) + 0.5) * axis.scale - 0.5;
  if (axis.mode == InterpolateMode::bilinear && place < 0) place = 0;
  const int64_t floor = static_cast<int64_t>(std::floor(place));
  const int64_t base = floor < last ? floor : last;
  const double rest = place - static_cast<double>(base);
  const double t = rest < 1 ? rest : 1;
  if (axis.mode == InterpolateMode::bilinear) return {{base, clamped(base + 1), 0, 0}, {1 - t, t, 0, 0}};
  return {{clamped(base - 1), clamped(base), clamped(base + 1), clamped(base + 2)},
          {cubic_far(1 + t), cubic_near(t), cubic_near(1 - t), cubic_far(2 - t)}};
}

}  // namespace nabla
