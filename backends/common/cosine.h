// The gradient of a cosine, for host and device.
//   cos = a . b / (ca cb),  ca = max(|a|, eps), cb = max(|b|, eps)
//   da = dcos * (b / (ca cb) - cos / ca * a / |a|),  db likewise
#pragma once

#include <cmath>
#include <limits>

#include "tensor/bfloat16.h"

namespace nabla {

struct Cosine {
  double value;
  double norm_a, norm_b;        // as they are
  double clamped_a, clamped_b;  // at least eps
};

// dx = other * (the other row) + own * (the row itself).
struct CosineFactors {
  double other, own;
};

DINOMALY_HOST_DEVICE inline CosineFactors cosine_factors(double dcos, const Cosine& c, double norm,
                                                         double clamped) {
  return {dcos / c.clamped_a / c.clamped_b, norm > 0 ? -dcos * c.value / clamped / norm : 0};
}

// Whether W holds both factors: of rows as long as 1e25 they are smaller than any float, though the gradient
// is not.
template <class W>
DINOMALY_HOST_DEVICE inline bool factors_fit(const CosineFactors& factors) {
  const auto fits = [](double factor) {
    const double size = factor < 0 ? -factor : factor;
    return size == 0 || (size >= static_cast<double>(std::numeric_limits<W>::min()) &&
                         size <= static_cast<double>(std::numeric_limits<W>::max()));
  };
  return fits(factors.other) && fits(factors.own);
}

}  // namespace nabla
