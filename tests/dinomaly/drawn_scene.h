// A scene as a depth sensor over a table sees it, a point each millimetre, drawn for tests.
#pragma once

#include <cstring>
#include <filesystem>

#include "dinomaly/image/image_map.h"
#include "dinomaly/image/point_cloud.h"
#include "tensor/random.h"
#include "tests/dinomaly/image_writers.h"

namespace dinomaly {

// The table rises to the right, by a tenth.
inline float table_depth(int64_t x) { return 0.6f - 0.0001f * static_cast<float>(x); }

struct DrawnScene {
  PointCloud cloud;
  Image rgb;  // grey noise, nowhere black

  DrawnScene(int64_t width, int64_t height, uint64_t seed = 1) : rgb(width, height, 3) {
    Generator generator(seed);
    cloud.width = width, cloud.height = height;
    for (int64_t i = 0; i < width * height; ++i) {
      const auto noise = static_cast<float>(0.002 * generator.uniform() - 0.001);  // a millimetre
      cloud.points.push_back({static_cast<float>(i % width) * 0.001f, static_cast<float>(i / width) * 0.001f,
                              table_depth(i % width) + noise});
    }
    for (uint8_t& pixel : rgb.pixels) pixel = static_cast<uint8_t>(100 + generator.below(100));
  }
  Point3& at(int64_t x, int64_t y) { return cloud.points[static_cast<size_t>(y * cloud.width + x)]; }
  // Everything in the box is at one depth.
  void put(const Box& box, float z) {
    for (int64_t y = box.y; y < box.y + box.height; ++y) {
      for (int64_t x = box.x; x < box.x + box.width; ++x) at(x, y)[2] = z;
    }
  }
  void write_cloud(const std::filesystem::path& path) const {
    std::filesystem::create_directories(path.parent_path());
    std::string bytes(cloud.points.size() * sizeof(Point3), '\0');
    std::memcpy(bytes.data(), cloud.points.data(), bytes.size());
    write_tiff(path,
               {.width = static_cast<int>(cloud.width),
                .height = static_cast<int>(cloud.height),
                .bits = 32,
                .samples = 3,
                .photometric = PHOTOMETRIC_RGB,
                .format = SAMPLEFORMAT_IEEEFP},
               {bytes});
  }
};

}  // namespace dinomaly
