// Antialiased bilinear resizing of 8-bit images, the two ways the published implementations do it: as PIL
// on bytes, and as torchvision on floats.
#pragma once

#include <cstdint>
#include <vector>

#include "dinomaly/image/image.h"

namespace dinomaly {

// Resize to resize_h x resize_w, then keep the crop_h x crop_w pixels at (top, left). Only
// these are computed.
struct ResizeWindow {
  int64_t resize_h = 0, resize_w = 0;
  int64_t top = 0, left = 0, crop_h = 0, crop_w = 0;
};

// Image.resize((resize_w, resize_h), BILINEAR) of PIL and a crop, equal to the last bit: coefficients
// in double, rounded to 22-bit fixed point, the horizontal pass first, bytes between the passes.
// (Pillow 13 takes the vertical pass first where the height shrinks much more than the width, and
// differs there by one level.)
Image resize_pil(const Image& image, const ResizeWindow& window);

// torchvision's resize(antialias=True) of the image / 255 and a crop, in f32: crop_h * crop_w * channels
// values, channels interleaved.
std::vector<float> resize_torch(const Image& image, const ResizeWindow& window);

}  // namespace dinomaly
