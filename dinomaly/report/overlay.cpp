#include "dinomaly/report/overlay.h"

#include <algorithm>
#include <cmath>
#include <vector>

#include "dinomaly/base/framework.h"
#include "dinomaly/image/connected_components.h"
#include "dinomaly/report/heatmap.h"
#include "tensor/error.h"
#include "tensor/threads.h"

namespace dinomaly {

namespace {

// The share of colour at the low and at the high end of the map's scale.
constexpr double faintest = 0.0, strongest = 0.85;

double grey_of(const uint8_t* rgb) { return 0.299 * rgb[0] + 0.587 * rgb[1] + 0.114 * rgb[2]; }

bool is_inside(const Box& box, int64_t x, int64_t y) {
  return x >= box.x && y >= box.y && x < box.x + box.width && y < box.y + box.height;
}

// The inspected part of a map, row-major.
std::vector<float> values_in(const Tensor& map, const Box& box) {
  return map.slice(0, box.y, box.y + box.height)
      .slice(1, box.x, box.x + box.width)
      .contiguous()
      .to_vector<float>();
}

// Which pixels of an image belong to regions that are outlined.
class RegionOutline {
 public:
  RegionOutline(const Tensor& map, const Box& inspected, double threshold, int64_t smallest, int64_t reach,
                std::span<const uint8_t> counted)
      : box_(inspected), reach_(reach) {
    if (!std::isfinite(threshold) || box_.width == 0 || box_.height == 0) return;
    const std::vector<float> values = values_in(map, box_);
    marked_.resize(values.size());
    for (size_t i = 0; i < values.size(); ++i)
      marked_[i] = values[i] > threshold && (counted.empty() || counted[i] != 0);
    const Regions regions = connected_components(marked_, box_.height, box_.width);
    for (size_t i = 0; i < marked_.size(); ++i) {
      const int32_t label = regions.labels[i];
      marked_[i] = label > 0 && regions.sizes[static_cast<size_t>(label - 1)] >= smallest;
    }
  }

  bool marks(int64_t x, int64_t y) const {
    return !marked_.empty() && is_inside(box_, x, y) &&
           marked_[static_cast<size_t>((y - box_.y) * box_.width + x - box_.x)] != 0;
  }

  // Is (x, y) on the other side of the edge of a region than a pixel within reach along an axis?
  bool near_edge(int64_t x, int64_t y) const {
    const bool inside = marks(x, y);
    for (int64_t step = 1; step <= reach_ && !marked_.empty(); ++step) {
      if (marks(x - step, y) != inside || marks(x + step, y) != inside || marks(x, y - step) != inside ||
          marks(x, y + step) != inside)
        return true;
    }
    return false;
  }

 private:
  Box box_;
  int64_t reach_;
  std::vector<uint8_t> marked_;  // the inspected pixels, row-major; empty: none is
};

}  // namespace

Image draw_overlay(const Image& rgb, const Tensor& map, const Box& inspected, const ColourScale& colours,
                   double threshold, int64_t smallest, std::span<const uint8_t> counted) {
  check(rgb.channels == 3 && map.shape() == Shape({rgb.height, rgb.width}),
        "overlay: a map of {} on an image of {} x {} x {}", map.shape(), rgb.height, rgb.width, rgb.channels);
  check(colours.low < colours.high, "overlay: the scale from {} to {} is empty", colours.low, colours.high);
  const Tensor dense = map.contiguous();
  const float* values = dense.data<float>();
  const int64_t reach = 1 + std::max(rgb.width, rgb.height) / 800;  // visible in large images too
  check(counted.empty() || counted.size() == static_cast<size_t>(inspected.width * inspected.height),
        "overlay: {} flags of {} x {} pixels", counted.size(), inspected.width, inspected.height);
  const auto counts = [&](int64_t x, int64_t y) {
    const int64_t place = (y - inspected.y) * inspected.width + x - inspected.x;
    return counted.empty() || counted[static_cast<size_t>(place)] != 0;
  };
  const RegionOutline outline(dense, inspected, threshold, smallest, reach, counted);
  Image image = rgb;
  parallel_tasks(rgb.height, [&](int64_t y) {
    for (int64_t x = 0; x < rgb.width; ++x) {
      uint8_t* pixel = image.at(x, y);
      if (outline.near_edge(x, y)) {
        std::fill_n(pixel, 3, outline.marks(x, y) ? uint8_t{255} : uint8_t{0});
      } else if (!is_inside(inspected, x, y)) {
        std::fill_n(pixel, 3, to_byte(grey_of(pixel)));
      } else if (!counts(x, y)) {
        std::fill_n(pixel, 3, to_byte(grey_of(pixel) / 2));
      } else {
        const double place = (values[y * rgb.width + x] - colours.low) / (colours.high - colours.low);
        const double share = faintest + (strongest - faintest) * std::clamp(place, 0.0, 1.0);
        const std::array<uint8_t, 3> colour = heat_colour(place);
        for (int c = 0; c < 3; ++c) pixel[c] = to_byte(share * colour[c] + (1 - share) * pixel[c]);
      }
    }
  });
  return image;
}

int64_t smallest_shown(const Box& inspected) {
  return std::max<int64_t>(1, inspected.width * inspected.height / 10000);
}

ColourScale own_scale(const Tensor& map, const Box& inspected, std::span<const uint8_t> counted) {
  constexpr double usual = 5, unusual = 8, least_place = 0.6;  // of good images, of clear defects
  std::vector<float> values = values_in(map, inspected);
  keep_counted(values, counted);
  if (values.empty()) return {};
  std::sort(values.begin(), values.end());
  const double calm = values[values.size() / 10], median = values[values.size() / 2], peak = values.back();
  const double contrast = calm > 0 ? peak / calm : unusual;
  const double share = std::clamp((contrast - usual) / (unusual - usual), 0.0, 1.0);
  const double place = least_place + (1 - least_place) * share;
  return {median, median + std::max((peak - median) / place, 1e-6)};
}

}  // namespace dinomaly
