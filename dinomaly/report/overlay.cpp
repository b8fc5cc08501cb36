#include "dinomaly/report/overlay.h"

#include <algorithm>
#include <cmath>

#include "dinomaly/base/framework.h"
#include "dinomaly/report/heatmap.h"
#include "tensor/error.h"

namespace dinomaly {

namespace {

// The share of colour at the low and at the high end of the map's scale.
constexpr double faintest = 0.0, strongest = 0.85;

double grey_of(const uint8_t* rgb) { return 0.299 * rgb[0] + 0.587 * rgb[1] + 0.114 * rgb[2]; }

// Is (x, y) above the threshold and a pixel within `reach` of it along an axis not?
bool on_contour(const float* values, const Box& inspected, int64_t width, int64_t x, int64_t y,
                double threshold, int64_t reach) {
  if (!(values[y * width + x] > threshold)) return false;
  const auto outside = [&](int64_t nx, int64_t ny) {
    return nx < inspected.x || ny < inspected.y || nx >= inspected.x + inspected.width ||
           ny >= inspected.y + inspected.height || !(values[ny * width + nx] > threshold);
  };
  return outside(x - reach, y) || outside(x + reach, y) || outside(x, y - reach) || outside(x, y + reach);
}

}  // namespace

Image draw_overlay(const Image& rgb, const Tensor& map, const Box& inspected, const ColourScale& colours,
                   double threshold) {
  check(rgb.channels == 3 && map.shape() == Shape({rgb.height, rgb.width}),
        "overlay: a map of {} on an image of {} x {} x {}", map.shape(), rgb.height, rgb.width, rgb.channels);
  check(colours.low < colours.high, "overlay: the scale from {} to {} is empty", colours.low, colours.high);
  const Tensor dense = map.contiguous();
  const float* values = dense.data<float>();
  const int64_t reach = 1 + std::max(rgb.width, rgb.height) / 800;  // visible in large images too
  Image image = rgb;
#pragma omp parallel for schedule(static)
  for (int64_t y = 0; y < rgb.height; ++y) {
    for (int64_t x = 0; x < rgb.width; ++x) {
      uint8_t* pixel = image.at(x, y);
      if (x < inspected.x || y < inspected.y || x >= inspected.x + inspected.width ||
          y >= inspected.y + inspected.height) {
        std::fill_n(pixel, 3, to_byte(grey_of(pixel)));
      } else if (on_contour(values, inspected, rgb.width, x, y, threshold, reach)) {
        std::fill_n(pixel, 3, uint8_t{255});
      } else {
        const double place = (values[y * rgb.width + x] - colours.low) / (colours.high - colours.low);
        const double share = faintest + (strongest - faintest) * std::clamp(place, 0.0, 1.0);
        const std::array<uint8_t, 3> colour = heat_colour(place);
        for (int c = 0; c < 3; ++c) pixel[c] = to_byte(share * colour[c] + (1 - share) * pixel[c]);
      }
    }
  }
  return image;
}

}  // namespace dinomaly
