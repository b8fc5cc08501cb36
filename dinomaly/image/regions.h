// The regions of an image whose map is above a threshold.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "dinomaly/base/framework.h"
#include "dinomaly/image/image_map.h"
#include "tensor/tensor.h"

namespace dinomaly {

// An 8-connected set of pixels above the threshold, in pixels of the map.
struct Region {
  Box box;
  int64_t area = 0;
  float peak = 0;  // the largest value
  int64_t peak_x = 0, peak_y = 0;
  double centroid_x = 0,
         centroid_y = 0;  // of the pixels' centres, a pixel's own coordinates being its centre
};

// The regions of map (h, w) f32 where value > threshold, inside `inspected` only; highest peak first, regions
// of fewer than `smallest` pixels left out. `counted`: Prediction::counted().
std::vector<Region> find_regions(const Tensor& map, const Box& inspected, double threshold,
                                 int64_t smallest = 1, std::span<const uint8_t> counted = {});

}  // namespace dinomaly
