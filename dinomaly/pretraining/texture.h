// Textures without classes: scalar fields over the plane whose every parameter is drawn from a range, and colours
// for their values.
#pragma once

#include <array>
#include <cstdint>
#include <functional>

#include "dinomaly/base/framework.h"
#include "dinomaly/synthetic/canvas.h"
#include "tensor/random.h"

namespace dinomaly {

// Values from 0 to 1 at points of [-0.5, 0.5]^2. May be called by several threads.
using Field = std::function<double(Point)>;

// What draw_field() chooses from; within each, scale, direction, stretch, warp and shape are continuous.
enum class TextureFamily {
  plain,    // all but one value
  fractal,  // clouds of noise
  grating,  // stripes, from sines to sharp bars
  weave,    // threads over and under each other
  tiles,    // rectangles with joints
  bricks,   // tiles whose rows are shifted
  cells,    // Worley's: distances to the nearest of scattered points
  rings,    // wood: warped circles around a point that may be outside
  dots,     // a lattice of discs, square or shifted
  brushed,  // noise drawn out in one direction, with scratches
  veins,    // ridges of noise
  granite,  // grains of several sizes
  fibres,   // short straight hairs in all directions
  spokes,   // circles and rays around a point
  count,
};

Field draw_field(TextureFamily family, Generator& generator);

// Colours along a path of four, by linear interpolation. Most are greyish, as most parts are.
class Palette {
 public:
  explicit Palette(Generator& generator);
  Colour at(double value) const;  // of a value from 0 to 1; others are clamped

 private:
  std::array<Colour, 4> stops_;
};

}  // namespace dinomaly
