// A detector small enough to run in milliseconds, with a random encoder and decoder.
#pragma once

#include <algorithm>
#include <memory>

#include "dinomaly/model/model.h"
#include "tests/dinomaly/tiny_encoder.h"

namespace dinomaly {

inline std::unique_ptr<Dinomaly> small_model(int64_t side = 56, Preset preset = Preset::paper,
                                             int64_t resize = 0) {
  Config config = Config::with_preset(preset);
  config.image.crop_h = config.image.crop_w = side;
  config.image.resize_h = config.image.resize_w = std::max(side, resize);
  config.map_size = 64;
  config.init_std = 0.3, config.init_cut = 1;
  const EncoderWeights weights = tiny_encoder();
  auto model = std::make_unique<Dinomaly>(weights.config, config);
  load_encoder_weights(model->encoder(), weights, "random encoder");
  return model;
}

// One whose images lose a margin to the crop: of 64 pixels 56 are left.
inline std::unique_ptr<Dinomaly> cropping_model() { return small_model(56, Preset::paper, 64); }

}  // namespace dinomaly
