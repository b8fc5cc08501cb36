// The defects that look alike on every surface: each paints within a shape, a signed distance as in canvas.h.
#pragma once

#include "dinomaly/synthetic/canvas.h"

namespace dinomaly {

// Brightness as the eye sees it (Rec. 601), 0 to 1.
inline double luminance(const Colour& c) { return 0.299 * c.r + 0.587 * c.g + 0.114 * c.b; }

// `colour` moved towards `hue` by `share`, at equal luminance; less far where a channel would pass 0 or 1.
Colour recoloured(const Colour& colour, const Colour& hue, double share);

// A disc with an uneven outline.
inline auto blob(Point centre, double radius, const Noise& noise, double unevenness) {
  return [=, &noise](Point p) {
    return disc(p, centre, radius) + unevenness * radius * noise.fractal(9 * p.x + 40, 9 * p.y + 40, 3);
  };
}

// low_contrast: the surface is darker by `loss`, a share.
template <class DistanceAt>
void paint_faint(Canvas& canvas, DistanceAt distance, double loss) {
  canvas.paint(distance, [&](Point, Colour below) { return below * (1 - loss); });
}

// colour: another hue, as bright as before.
template <class DistanceAt>
void paint_hue(Canvas& canvas, DistanceAt distance, const Colour& hue, double share) {
  canvas.paint(distance, [&](Point, Colour below) { return recoloured(below, hue, share); });
}

}  // namespace dinomaly
