// Labels the connected regions of a mask.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace dinomaly {

struct Regions {
  std::vector<int32_t>
      labels;  // (height, width), row-major: 0 where the mask is 0, otherwise 1 .. sizes.size()
  std::vector<int64_t> sizes;  // pixels of region 1, 2, ...; the regions are numbered in reading order
};

// The 8-connected regions of the non-zero pixels of `mask` (height, width), by two passes with union-find
// (Rosenfeld and Pfaltz, 1966). Throws Error if mask.size() is not height * width or not below 2^31.
Regions connected_components(std::span<const uint8_t> mask, int64_t height, int64_t width);

}  // namespace dinomaly
