#include "dinomaly/synthetic/defects.h"

namespace dinomaly {

Colour recoloured(const Colour& colour, const Colour& hue, double share) {
  const Colour target = hue * (luminance(colour) / luminance(hue));
  const auto limit = [&](double from, double to) {
    if (to > 1) share = std::min(share, (1 - from) / (to - from));
  };
  limit(colour.r, target.r), limit(colour.g, target.g), limit(colour.b, target.b);
  return mix(colour, target, share);
}

}  // namespace dinomaly
