// The depth of a scene as a picture that an encoder of photographs can take.
#pragma once

#include <array>
#include <cstdint>
#include <filesystem>
#include <vector>

#include "dinomaly/image/image.h"

namespace dinomaly {

// Rows from the top. A pixel without a distance, z <= 0, is background.
struct DepthMap {
  int64_t width = 0, height = 0;
  std::vector<float> z;
};

// A depth that is taken as it is, so that its background must be 0: a TIFF of a 32-bit float a pixel, or an image of one
// integer of 8 or 16 bits a pixel (a PNG, as Eyecandies'). point_cloud.h reads x, y, z. Throws InputError naming the file where it is none of these, damaged or
// too large, where a value is not finite, and where no pixel has a positive z.
DepthMap load_depth(const std::filesystem::path& path);

// OpenCV's colour table "hot", to within a level: 64 knots t = i / 63 with R, G, B = 2.5 t, 2.5 t - 1, 5 t - 4, each
// limited to 0..1, linear between them; `level` / 255 is the place among them.
std::array<uint8_t, 3> hot_colour(uint8_t level);

// hot_colour(int(255 v)) with v = 1 - 0.8 (z - min) / (max - min), in f32, min and max of the positive z; background
// is 0, black. What is all of one depth is 1. (Dinomaly2's dataset.py, MVTec3DDataset.)
Image depth_picture(const DepthMap& depth);

// Makes the background of an image of the depth's size black.
void blacken_background(Image& rgb, const DepthMap& depth);

}  // namespace dinomaly
