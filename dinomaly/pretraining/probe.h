// How well features find anomalies before anything is trained on them: by the distance to the nearest training patch.
#pragma once

#include <string>
#include <vector>

#include "dinomaly/base/framework.h"
#include "dinomaly/data/dataset.h"
#include "dinomaly/model/encoder.h"

namespace dinomaly {

struct ProbeResult {
  double raw = 0;           // image AUROC with features as they are
  double standardised = 0;  // with each channel divided by its deviation over the training patches
};

class Probe {
 public:
  // Reads the category's images, resized to 256 and cropped to 224 pixels. Throws InputError where it has no good or no
  // anomalous test image, or one cannot be read.
  explicit Probe(const Category& category);

  // A patch's feature is the mean of the target blocks; an image's score the largest distance of any of its patches to
  // the nearest one of all training images.
  ProbeResult operator()(const Encoder& encoder, const std::vector<int64_t>& targets, Dtype dtype) const;

 private:
  std::vector<Tensor> train_, test_;  // (3, 224, 224) f32
  std::vector<uint8_t> labels_;
};

}  // namespace dinomaly
