// The image overlaid with its map.
#pragma once

#include "dinomaly/base/framework.h"
#include "dinomaly/image/image.h"
#include "dinomaly/model/calibration.h"
#include "tensor/tensor.h"

namespace dinomaly {

// An image of rgb's size with the map's colours, stronger for higher values, and a white outline around
// regions above `threshold` (infinity: none). map (height, width) f32. Pixels outside `inspected` stay as
// they are, but grey.
Image draw_overlay(const Image& rgb, const Tensor& map, const Box& inspected, const ColourScale& colours,
                   double threshold);

}  // namespace dinomaly
