// A detector small enough to run in milliseconds, with a random encoder and decoder.
#pragma once

#include <memory>

#include "dinomaly/model.h"

namespace dinomaly {

inline std::unique_ptr<Dinomaly> small_model(int64_t side = 56, Preset preset = Preset::paper) {
  EncoderConfig encoder;
  encoder.width = 32, encoder.heads = 2, encoder.depth = 4, encoder.patch = 14, encoder.hidden = 64;
  encoder.grid_h = encoder.grid_w = 4;
  Config config = Config::with_preset(preset);
  config.image.resize_h = config.image.resize_w = config.image.crop_h = config.image.crop_w = side;
  config.map_size = 64;
  config.init_std = 0.3, config.init_cut = 1;
  Generator generator(3);
  const EncoderWeights weights = random_encoder(encoder, generator);
  auto model = std::make_unique<Dinomaly>(weights.config, config);
  load_encoder_weights(model->encoder(), weights, "random encoder");
  return model;
}

}  // namespace dinomaly
