// Where the pixels of a map lie in its image. The model sees an image resized and cropped; a map covers that
// crop, at a size of its own.
#pragma once

#include <cstdint>

#include "dinomaly/base/framework.h"
#include "dinomaly/image/preprocess.h"
#include "tensor/tensor.h"

namespace dinomaly {

// A rectangle of pixels; (x, y) is its upper left one.
struct Box {
  int64_t x = 0, y = 0, width = 0, height = 0;
  bool operator==(const Box&) const = default;
};

// The pixels of an image of width x height whose centres the centre crop keeps: what the model inspects of
// it. At least one pixel.
Box inspected_box(int64_t width, int64_t height, const ImageConfig& config);

// map (h, w) f32 of the crop -> (height, width) f32 of the whole image: bilinear, pixel centres on pixel
// centres. Outside inspected_box(), where nothing is known, the nearest known value is continued.
Tensor map_to_image(const Tensor& map, int64_t width, int64_t height, const ImageConfig& config);

// map (h, w) f32 -> (height, width) f32: bilinear, pixel centres on pixel centres.
Tensor resize_map(const Tensor& map, int64_t width, int64_t height);

// map (h, w) f32 -> (height, width) f32, at most as large: the largest value of those that fall on each, so that
// no defect is lost.
Tensor shrink_map(const Tensor& map, int64_t width, int64_t height);

}  // namespace dinomaly
