// The images of few-shot training, varied anew in each step.
#pragma once

#include <cstdint>
#include <vector>

#include "dinomaly/base/framework.h"
#include "dinomaly/data/dataset.h"
#include "dinomaly/image/image.h"
#include "dinomaly/model/config.h"
#include "tensor/tensor.h"

namespace dinomaly {

class AugmentedImages {
 public:
  // Resized images are kept while they take at most `memory` bytes; others are read again each time.
  AugmentedImages(const Config& config, std::vector<Sample> samples, size_t memory);

  // (n, channels, crop_h, crop_w) f32: the given images as iteration `iteration` sees them. How each is varied follows from
  // the config's seed, the iteration and the place in the batch alone, so that a run which is resumed goes on with
  // the same bits. Throws InputError naming an image that cannot be read.
  Tensor batch(const std::vector<int64_t>& indices, int64_t iteration);

 private:
  // The image, resize_h x resize_w.
  Image resized(int64_t index);

  Config config_;
  std::vector<Sample> samples_;
  std::vector<Image> resized_;  // empty: not read yet, or too many
  size_t memory_, bytes_ = 0;
};

}  // namespace dinomaly
