#include "dinomaly/image/augment.h"

#include <algorithm>
#include <cmath>

#include "dinomaly/base/framework.h"
#include "dinomaly/image/resize.h"

namespace dinomaly {

namespace {

constexpr double narrowest = 0.95, widest = 1.05;
constexpr int most_tries = 10;

// As Python's round(): halves to even.
int64_t rounded_to_even(double value) { return static_cast<int64_t>(std::nearbyint(value)); }

// The largest part in the middle whose aspect is allowed.
void take_middle(const ImageConfig& config, double square, Variation& part) {
  const double height = static_cast<double>(config.resize_h), width = static_cast<double>(config.resize_w);
  part.height = config.resize_h, part.width = config.resize_w;
  if (width / height < narrowest * square) part.height = rounded_to_even(width / (narrowest * square));
  if (width / height > widest * square) part.width = rounded_to_even(height * widest * square);
  part.height = std::max<int64_t>(part.height, 1), part.width = std::max<int64_t>(part.width, 1);
  part.top = (config.resize_h - part.height) / 2, part.left = (config.resize_w - part.width) / 2;
}

// The picture turned counterclockwise by 90 degrees: its last column becomes the first row.
Image quarter_turned(const Image& image) {
  Image result(image.height, image.width, image.channels);
  for (int64_t y = 0; y < result.height; ++y) {
    for (int64_t x = 0; x < result.width; ++x)
      std::copy_n(image.at(image.width - 1 - y, x), image.channels, result.at(x, y));
  }
  return result;
}

void mirrored_in_place(Image& image) {
  for (int64_t y = 0; y < image.height; ++y) {
    for (int64_t x = 0; x < image.width / 2; ++x)
      std::swap_ranges(image.at(x, y), image.at(x, y) + image.channels, image.at(image.width - 1 - x, y));
  }
}

void turn_over(Image& image) {
  const int64_t bytes = image.width * image.channels;
  for (int64_t y = 0; y < image.height / 2; ++y)
    std::swap_ranges(image.row(y), image.row(y) + bytes, image.row(image.height - 1 - y));
}

}  // namespace

Variation draw_variation(const ImageConfig& config, Generator& generator) {
  const double area = static_cast<double>(config.crop_h * config.crop_w);
  const double square = static_cast<double>(config.crop_w) / static_cast<double>(config.crop_h);
  Variation part;
  bool fits = false;
  for (int i = 0; i < most_tries && !fits; ++i) {
    const double factor =
        std::exp(std::log(narrowest) + generator.uniform() * (std::log(widest) - std::log(narrowest)));
    part.width = rounded_to_even(std::sqrt(area * factor * square));
    part.height = rounded_to_even(std::sqrt(area / (factor * square)));
    fits = part.width >= 1 && part.width <= config.resize_w && part.height >= 1 &&
           part.height <= config.resize_h;
  }
  if (fits) {
    part.top =
        static_cast<int64_t>(generator.below(static_cast<uint64_t>(config.resize_h - part.height + 1)));
    part.left =
        static_cast<int64_t>(generator.below(static_cast<uint64_t>(config.resize_w - part.width + 1)));
  } else {
    take_middle(config, square, part);
  }
  const bool is_square = config.crop_h == config.crop_w;
  part.quarter_turns = static_cast<int>(is_square ? generator.below(4) : 2 * generator.below(2));
  part.left_right = generator.below(2) == 1;
  part.upside_down = generator.below(2) == 1;
  return part;
}

Image varied(const Image& image, const Variation& variation, const ImageConfig& config) {
  const auto [top, left, height, width, turns, left_right, upside_down] = variation;
  check(top >= 0 && left >= 0 && height > 0 && width > 0 && top + height <= image.height &&
            left + width <= image.width,
        "varied: {} x {} at ({}, {}) is no part of an image of {} x {}", height, width, top, left,
        image.height, image.width);
  Image part(width, height, image.channels);
  for (int64_t y = 0; y < height; ++y)
    std::copy_n(image.at(left, top + y), width * image.channels, part.row(y));
  Image result = resize_pil(part, {.resize_h = config.crop_h,
                                   .resize_w = config.crop_w,
                                   .crop_h = config.crop_h,
                                   .crop_w = config.crop_w});
  for (int i = 0; i < turns; ++i) result = quarter_turned(result);
  if (left_right) mirrored_in_place(result);
  if (upside_down) turn_over(result);
  return result;
}

}  // namespace dinomaly
