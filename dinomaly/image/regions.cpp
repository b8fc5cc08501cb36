#include "dinomaly/image/regions.h"

#include <algorithm>
#include <cmath>

#include "dinomaly/base/framework.h"
#include "dinomaly/image/connected_components.h"
#include "tensor/error.h"

namespace dinomaly {

std::vector<Region> find_regions(const Tensor& map, const Box& inspected, double threshold, int64_t smallest,
                                 std::span<const uint8_t> counted) {
  check(map.rank() == 2 && inspected.x >= 0 && inspected.y >= 0 && inspected.width >= 0 &&
            inspected.height >= 0 && inspected.x + inspected.width <= map.size(1) &&
            inspected.y + inspected.height <= map.size(0),
        "find_regions: the box at ({}, {}) of {} x {} is not inside a map of {}", inspected.x, inspected.y,
        inspected.width, inspected.height, map.shape());
  const Tensor inside = map.slice(0, inspected.y, inspected.y + inspected.height)
                            .slice(1, inspected.x, inspected.x + inspected.width)
                            .contiguous();
  const float* values = inside.data<float>();
  std::vector<uint8_t> mask(static_cast<size_t>(inside.numel()));
  check(counted.empty() || counted.size() == mask.size(), "find_regions: {} flags of {} pixels",
        counted.size(), mask.size());
  for (size_t i = 0; i < mask.size(); ++i) mask[i] = values[i] > threshold;
  for (size_t i = 0; i < counted.size(); ++i) mask[i] &= counted[i];

  const Regions components = connected_components(mask, inspected.height, inspected.width);
  std::vector<Region> regions(components.sizes.size());
  std::vector<int64_t> right(regions.size()), bottom(regions.size());
  for (int64_t y = 0, i = 0; y < inspected.height; ++y) {
    for (int64_t x = 0; x < inspected.width; ++x, ++i) {
      const int32_t label = components.labels[static_cast<size_t>(i)];
      if (label == 0) continue;
      const size_t r = static_cast<size_t>(label - 1);
      Region& region = regions[r];
      if (region.area == 0) {
        region.box = {x, y, 0, 0};
        region.peak = -INFINITY;
        right[r] = x;
      }
      ++region.area;
      region.box.x = std::min(region.box.x, x);
      right[r] = std::max(right[r], x);
      bottom[r] = y;  // rows come in order
      region.centroid_x += static_cast<double>(x);
      region.centroid_y += static_cast<double>(y);
      if (values[i] > region.peak) region.peak = values[i], region.peak_x = x, region.peak_y = y;
    }
  }
  for (size_t r = 0; r < regions.size(); ++r) {
    Region& region = regions[r];
    region.box.width = right[r] - region.box.x + 1;
    region.box.height = bottom[r] - region.box.y + 1;
    region.box.x += inspected.x, region.box.y += inspected.y;
    region.peak_x += inspected.x, region.peak_y += inspected.y;
    region.centroid_x =
        region.centroid_x / static_cast<double>(region.area) + static_cast<double>(inspected.x);
    region.centroid_y =
        region.centroid_y / static_cast<double>(region.area) + static_cast<double>(inspected.y);
  }
  std::erase_if(regions, [&](const Region& region) { return region.area < smallest; });
  std::stable_sort(regions.begin(), regions.end(),
                   [](const Region& a, const Region& b) { return a.peak > b.peak; });
  return regions;
}

}  // namespace dinomaly
