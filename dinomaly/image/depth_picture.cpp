#include "dinomaly/image/depth_picture.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <memory>

#include "dinomaly/base/framework.h"
#include "dinomaly/base/numbers.h"
#include "dinomaly/image/pixel_rows.h"
#include "dinomaly/image/tiff_file.h"
#include "tensor/error.h"

namespace dinomaly {

namespace fs = std::filesystem;

namespace {

// Values are appended row by row: a file shorter than its size claims allocates no more than it holds.
DepthMap load_float_tiff(const fs::path& path) {
  TiffFile file(path, {});
  const TiffLayout& layout = file.layout();
  check_input(layout.bits == 32 && layout.samples == 1,
              "{}: no depth: {} of {} per pixel, not one or three floats of 32", path.string(),
              counted(layout.samples, "sample"), counted(layout.bits, "bit"));
  DepthMap depth{layout.width, layout.height, {}};
  for (int64_t y = 0; y < depth.height; ++y) {
    const uint8_t* row = file.next();
    for (int64_t x = 0; x < depth.width; ++x) {
      float value;
      std::memcpy(&value, row + static_cast<size_t>(x) * sizeof value, sizeof value);
      check_input(std::isfinite(value), "{}: the depth at ({}, {}) is not finite", path.string(), x, y);
      depth.z.push_back(value);
    }
  }
  return depth;
}

DepthMap load_integers(const fs::path& path) {
  const std::unique_ptr<PixelRows> rows = open_picture(path);
  const PixelLayout& layout = rows->layout();
  check_input(layout.channels == 1 && layout.palette.empty() && (layout.bits == 8 || layout.bits == 16),
              "{}: no depth: {} of {}, not one grey value a pixel", path.string(),
              counted(layout.channels, "channel"), counted(layout.bits, "bit"));
  DepthMap depth{layout.width, layout.height, {}};
  for (int64_t y = 0; y < depth.height; ++y) {
    const uint8_t* row = rows->next();
    for (int64_t x = 0; x < depth.width; ++x) {
      uint16_t deep = row[x];
      if (layout.bits == 16) std::memcpy(&deep, row + 2 * x, sizeof deep);
      depth.z.push_back(deep);
    }
  }
  return depth;
}

}  // namespace

DepthMap load_depth(const fs::path& path) {
  DepthMap depth = floats_per_pixel(path) > 0 ? load_float_tiff(path) : load_integers(path);
  check_input(std::any_of(depth.z.begin(), depth.z.end(), [](float z) { return z > 0; }),
              "{}: no pixel of the depth is above 0: all is background", path.string());
  return depth;
}

std::array<uint8_t, 3> hot_colour(uint8_t level) {
  constexpr double last = 63;
  const double place = level / 255.0 * last, below = std::floor(place), share = place - below;
  const auto channel = [&](double slope, double start) {
    const auto knot = [&](double i) {
      return std::clamp(slope * std::min(i, last) / last - start, 0.0, 1.0);
    };
    return to_byte(255 * (knot(below) * (1 - share) + knot(below + 1) * share));
  };
  return {channel(2.5, 0), channel(2.5, 1), channel(5, 4)};
}

Image depth_picture(const DepthMap& depth) {
  float low = INFINITY, high = 0;
  for (const float z : depth.z) {
    if (z > 0) low = std::min(low, z), high = std::max(high, z);
  }
  Image picture(depth.width, depth.height, 3);
  const float range = high - low;
  for (size_t i = 0; i < depth.z.size(); ++i) {
    const float z = depth.z[i];
    if (z <= 0) continue;  // black
    const float darker = (range > 0 ? (z - low) / range : 0.0f) * 0.8f;
    const auto v =
        static_cast<float>(1.0 - double{darker});  // not fused with the product, whose rounding counts
    const std::array<uint8_t, 3> colour = hot_colour(static_cast<uint8_t>(v * 255.0f));
    std::copy(colour.begin(), colour.end(), picture.pixels.begin() + static_cast<std::ptrdiff_t>(3 * i));
  }
  return picture;
}

void blacken_background(Image& rgb, const DepthMap& depth) {
  check(rgb.width == depth.width && rgb.height == depth.height && rgb.channels == 3,
        "blacken_background: an image of {} x {} x {} and a depth of {} x {}", rgb.height, rgb.width,
        rgb.channels, depth.height, depth.width);
  for (size_t i = 0; i < depth.z.size(); ++i) {
    if (depth.z[i] <= 0) std::fill_n(rgb.pixels.begin() + static_cast<std::ptrdiff_t>(3 * i), 3, uint8_t{0});
  }
}

}  // namespace dinomaly
