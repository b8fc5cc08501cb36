// A Dinomaly small enough for a test: width 8, 2 heads, 8 blocks, patch 2, random weights.
#pragma once

#include <memory>

#include "dinomaly/model/model.h"

namespace dinomaly {

struct SmallDetector {
  explicit SmallDetector(Preset preset, int64_t registers = 0) {
    EncoderConfig shape;
    shape.width = 8, shape.heads = 2, shape.depth = 8, shape.patch = 2, shape.hidden = 32;
    shape.registers = registers, shape.grid_h = shape.grid_w = 3, shape.layer_scale = true;
    Generator generator(5);
    encoder = random_encoder(shape, generator);
    Config config = Config::with_preset(preset);
    config.image.resize_h = config.image.resize_w = 16;
    config.image.crop_h = config.image.crop_w = 12;
    config.dropout = 0.1;
    model = std::make_unique<Dinomaly>(shape, config);
    load_encoder_weights(model->encoder(), encoder, "small encoder");
  }
  EncoderWeights encoder;
  std::unique_ptr<Dinomaly> model;
};

inline bool same_weights(const Dinomaly& a, const Dinomaly& b) {
  const NamedTensors left = a.state_dict(), right = b.state_dict();
  bool same = left.size() == right.size();
  for (size_t i = 0; same && i < left.size(); ++i) {
    same = left[i].first == right[i].first &&
           left[i].second.to_vector<float>() == right[i].second.to_vector<float>();
  }
  return same;
}

}  // namespace dinomaly
