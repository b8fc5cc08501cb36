// The image itself with its map laid over it.
#pragma once

#include "dinomaly/base/framework.h"
#include "dinomaly/image/image.h"
#include "dinomaly/model/calibration.h"
#include "tensor/tensor.h"

namespace dinomaly {

// An image of rgb's size: the map's colours, the stronger the higher, and a white line around what is above
// `threshold` (infinity: no line). map (height, width) f32. Pixels outside `inspected` stay as they are, but grey.
Image draw_overlay(const Image& rgb, const Tensor& map, const Box& inspected, const ColourScale& colours,
                   double threshold);

}  // namespace dinomaly
