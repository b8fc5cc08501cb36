// The weights of a small random encoder, for what needs any encoder at all.
#pragma once

#include "dinomaly/model/encoder.h"

namespace dinomaly {

// Width 32, 2 heads, 4 blocks, patch 14.
inline EncoderWeights tiny_encoder() {
  EncoderConfig config;
  config.width = 32, config.heads = 2, config.depth = 4, config.patch = 14, config.hidden = 64;
  config.grid_h = config.grid_w = 4;
  Generator generator(3);
  return random_encoder(config, generator);
}

}  // namespace dinomaly
