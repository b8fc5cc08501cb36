// Maps and masks to judge.
#pragma once

#include <cmath>
#include <cstdint>
#include <vector>

#include "dinomaly/base/framework.h"
#include "tensor/random.h"

namespace dinomaly {

struct RandomMaps {
  int64_t count, height, width;
  std::vector<float> maps;
  std::vector<uint8_t> masks;
};

// Random masks of the given density; maps of `levels` distinct values, higher where the mask is set.
inline RandomMaps random_maps(int64_t count, int64_t height, int64_t width, double density, int levels,
                              uint64_t seed) {
  Generator generator(seed);
  RandomMaps images{count, height, width, {}, {}};
  for (int64_t i = 0; i < count * height * width; ++i) {
    images.masks.push_back(generator.uniform() < density ? 255 : 0);
    const double value = generator.uniform() + (images.masks.back() != 0 ? 0.4 : 0.0);
    images.maps.push_back(static_cast<float>(std::floor(value * levels)) / 8 - 3);
  }
  return images;
}

}  // namespace dinomaly
