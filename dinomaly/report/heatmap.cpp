#include "dinomaly/report/heatmap.h"

#include <algorithm>
#include <cmath>

#include "dinomaly/base/framework.h"
#include "tensor/error.h"

namespace dinomaly {

namespace {

constexpr int64_t separator = 2;  // pixels
// The share of colour in the third panel; the rest is the image, which shows where the colour is.
constexpr double colour_share = 0.7;

// The position of output `i` of `out` among `in` samples, centres aligned to centres, clamped to the inside.
double source_place(int64_t i, int64_t out, int64_t in) {
  const double place =
      (static_cast<double>(i) + 0.5) * static_cast<double>(in) / static_cast<double>(out) - 0.5;
  return std::clamp(place, 0.0, static_cast<double>(in - 1));
}

double bilinear(const float* values, int64_t height, int64_t width, double y, double x) {
  const int64_t y0 = static_cast<int64_t>(y), x0 = static_cast<int64_t>(x);
  const int64_t y1 = std::min(y0 + 1, height - 1), x1 = std::min(x0 + 1, width - 1);
  const double fy = y - static_cast<double>(y0), fx = x - static_cast<double>(x0);
  const double top = values[y0 * width + x0] * (1 - fx) + values[y0 * width + x1] * fx;
  const double bottom = values[y1 * width + x0] * (1 - fx) + values[y1 * width + x1] * fx;
  return top * (1 - fy) + bottom * fy;
}

}  // namespace

std::array<uint8_t, 3> heat_colour(double value) {
  constexpr int steps = 8;
  constexpr double anchors[steps + 1][3] = {{0, 0, 4},      {31, 12, 72},   {85, 15, 109},
                                            {136, 34, 106}, {186, 54, 85},  {227, 89, 51},
                                            {249, 140, 10}, {249, 201, 50}, {252, 255, 164}};
  const double place = std::isnan(value) ? 0 : std::clamp(value, 0.0, 1.0) * steps;
  const int step = std::min(static_cast<int>(place), steps - 1);
  std::array<uint8_t, 3> colour;
  for (int c = 0; c < 3; ++c) {
    colour[c] = to_byte(anchors[step][c] + (place - step) * (anchors[step + 1][c] - anchors[step][c]));
  }
  return colour;
}

Image draw_heatmap(const Image& rgb, const Tensor& mask, const Tensor& map, double low, double high) {
  check(rgb.channels == 3 && rgb.width > 0 && rgb.height > 0, "heatmap: an image of {} x {} x {}", rgb.height,
        rgb.width, rgb.channels);
  check(map.defined() && map.rank() == 2 && map.numel() > 0, "heatmap: the map must be (h, w)");
  check(!mask.defined() || (mask.rank() == 2 && mask.numel() > 0), "heatmap: the mask must be (h, w)");
  check(low < high, "heatmap: the scale from {} to {} is empty", low, high);
  const std::vector<float> values = map.to_vector<float>();
  const std::vector<uint8_t> marks = mask.defined() ? mask.to_vector<uint8_t>() : std::vector<uint8_t>{};

  Image image(3 * rgb.width + 2 * separator, rgb.height, 3);
  std::fill(image.pixels.begin(), image.pixels.end(), uint8_t{255});
  for (int64_t y = 0; y < rgb.height; ++y) {
    std::copy_n(rgb.row(y), rgb.width * 3, image.row(y));
    for (int64_t x = 0; x < rgb.width; ++x) {
      bool marked = false;
      if (!marks.empty()) {
        marked = marks[(y * mask.size(0) / rgb.height) * mask.size(1) + x * mask.size(1) / rgb.width] > 0;
      }
      std::fill_n(image.at(rgb.width + separator + x, y), 3, static_cast<uint8_t>(marked ? 255 : 0));

      const double value =
          bilinear(values.data(), map.size(0), map.size(1), source_place(y, rgb.height, map.size(0)),
                   source_place(x, rgb.width, map.size(1)));
      const std::array<uint8_t, 3> colour = heat_colour((value - low) / (high - low));
      const uint8_t* pixel = rgb.at(x, y);
      const double grey = 0.299 * pixel[0] + 0.587 * pixel[1] + 0.114 * pixel[2];
      uint8_t* out = image.at(2 * (rgb.width + separator) + x, y);
      for (int c = 0; c < 3; ++c) out[c] = to_byte(colour_share * colour[c] + (1 - colour_share) * grey);
    }
  }
  return image;
}

void save_heatmap(const std::filesystem::path& path, const Image& rgb, const Tensor& mask, const Tensor& map,
                  double low, double high) {
  save_result_png(path, draw_heatmap(rgb, mask, map, low, high));
}

}  // namespace dinomaly
