// The image overlaid with its map.
#pragma once

#include <cstdint>
#include <span>

#include "dinomaly/base/framework.h"
#include "dinomaly/image/image.h"
#include "dinomaly/model/calibration.h"
#include "tensor/tensor.h"

namespace dinomaly {

// An image of rgb's size with the map's colours, stronger for higher values, and an outline around regions above
// `threshold` (infinity: none) of at least `smallest` pixels: white along their inside and black around them, so
// that one of the two is seen on any part. map (height, width) f32. Pixels outside `inspected` stay as they
// are, but grey; those of `inspected` that do not count (`counted`: Prediction::counted()) are grey and dark.
Image draw_overlay(const Image& rgb, const Tensor& map, const Box& inspected, const ColourScale& colours,
                   double threshold, int64_t smallest = 1, std::span<const uint8_t> counted = {});

// The smallest region that is worth showing in an inspected area of so many pixels: a ten-thousandth of it, a
// square of 10 x 10 in a megapixel; fewer pixels are a speck that nobody looks for.
int64_t smallest_shown(const Box& inspected);

// The scale for a map about which no calibration says what is usual. Colours begin at the map's median. Its peak
// is always seen: on a map that stays below five times its calmest tenth, as those of good images do, at 0.6 of the
// colours, a red through which the part is seen; from eight times on, as with clear defects, at the last colour; between them
// in proportion. `counted`: as above; nothing else is looked at.
ColourScale own_scale(const Tensor& map, const Box& inspected, std::span<const uint8_t> counted = {});

}  // namespace dinomaly
