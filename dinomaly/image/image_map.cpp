#include "dinomaly/image/image_map.h"

#include <algorithm>
#include <cmath>
#include <vector>

#include "dinomaly/base/framework.h"
#include "tensor/error.h"
#include "tensor/threads.h"

namespace dinomaly {

namespace {

// Along one axis: the two map pixels an output pixel lies between, and how far it is from the first.
struct Tap {
  int64_t first, second;
  float share;  // of the second
};

// Output i of `out` lies at ((i + 0.5) * resized / out - offset) / crop of the map's `in` pixels.
std::vector<Tap> taps(int64_t out, int64_t in, int64_t resized, int64_t offset, int64_t crop) {
  std::vector<Tap> result;
  for (int64_t i = 0; i < out; ++i) {
    const double place =
        (static_cast<double>(i) + 0.5) * static_cast<double>(resized) / static_cast<double>(out) -
        static_cast<double>(offset);
    const double at = std::clamp(place * static_cast<double>(in) / static_cast<double>(crop) - 0.5, 0.0,
                                 static_cast<double>(in - 1));
    const int64_t first = static_cast<int64_t>(at);
    result.push_back(
        {first, std::min(first + 1, in - 1), static_cast<float>(at - static_cast<double>(first))});
  }
  return result;
}

Tensor resample(const Tensor& map, const std::vector<Tap>& rows, const std::vector<Tap>& columns) {
  check(map.rank() == 2 && map.numel() > 0 && map.dtype() == Dtype::f32, "resample: a map of {} {}",
        map.shape(), map.dtype());
  const Tensor dense = map.contiguous();
  const int64_t in_width = map.size(1), width = static_cast<int64_t>(columns.size()),
                height = static_cast<int64_t>(rows.size());
  Tensor result = Tensor::empty({height, width});
  const float* source = dense.data<float>();
  float* out = result.data<float>();
  parallel_tasks(height, [&](int64_t y) {
    const Tap& row = rows[static_cast<size_t>(y)];
    const float *above = source + row.first * in_width, *below = source + row.second * in_width;
    for (int64_t x = 0; x < width; ++x) {
      const Tap& column = columns[static_cast<size_t>(x)];
      const float top = above[column.first] + column.share * (above[column.second] - above[column.first]);
      const float bottom = below[column.first] + column.share * (below[column.second] - below[column.first]);
      out[y * width + x] = top + row.share * (bottom - top);
    }
  });
  return result;
}

// The first and the number of the `size` pixels whose centres fall into [offset, offset + crop) of `resized`.
std::pair<int64_t, int64_t> inspected_range(int64_t size, int64_t resized, int64_t offset, int64_t crop) {
  // (2 i + 1) resized >= 2 offset size, in integers
  const int64_t doubled = 2 * resized;
  const auto first_at = [&](int64_t edge) {
    const int64_t needed = 2 * edge * size - resized;
    return std::clamp<int64_t>(needed <= 0 ? 0 : (needed + doubled - 1) / doubled, 0, size);
  };
  const int64_t begin = std::min(first_at(offset), size - 1);
  return {begin, std::max<int64_t>(first_at(offset + crop) - begin, 1)};
}

}  // namespace

Box inspected_box(int64_t width, int64_t height, const ImageConfig& config) {
  const auto [x, inspected_width] = inspected_range(
      width, config.resize_w, centre_crop_offset(config.resize_w, config.crop_w), config.crop_w);
  const auto [y, inspected_height] = inspected_range(
      height, config.resize_h, centre_crop_offset(config.resize_h, config.crop_h), config.crop_h);
  return {x, y, inspected_width, inspected_height};
}

Tensor map_to_image(const Tensor& map, int64_t width, int64_t height, const ImageConfig& config) {
  check(map.rank() == 2, "map_to_image: a map of {}", map.shape());
  return resample(map,
                  taps(height, map.size(0), config.resize_h,
                       centre_crop_offset(config.resize_h, config.crop_h), config.crop_h),
                  taps(width, map.size(1), config.resize_w,
                       centre_crop_offset(config.resize_w, config.crop_w), config.crop_w));
}

Tensor resize_map(const Tensor& map, int64_t width, int64_t height) {
  check(map.rank() == 2, "resize_map: a map of {}", map.shape());
  return resample(map, taps(height, map.size(0), height, 0, height),
                  taps(width, map.size(1), width, 0, width));
}

Tensor shrink_map(const Tensor& map, int64_t width, int64_t height) {
  check(map.rank() == 2 && width > 0 && height > 0 && width <= map.size(1) && height <= map.size(0),
        "shrink_map: a map of {} to {} x {}", map.shape(), width, height);
  const Tensor dense = map.contiguous();
  Tensor result = Tensor::full({height, width}, -INFINITY);
  const int64_t map_height = map.size(0), map_width = map.size(1);
  for (int64_t y = 0; y < map_height; ++y) {
    const float* values = dense.data<float>() + y * map_width;
    float* out = result.data<float>() + y * height / map_height * width;
    for (int64_t x = 0; x < map_width; ++x) {
      float& largest = out[x * width / map_width];
      largest = std::max(largest, values[x]);
    }
  }
  return result;
}

}  // namespace dinomaly
