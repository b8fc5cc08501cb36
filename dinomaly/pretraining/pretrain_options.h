// What an encoder is pretrained with.
#pragma once

#include <cstdint>
#include <string>

#include "dinomaly/base/framework.h"
#include "dinomaly/weights/encoder_weights.h"
#include "tensor/dtype.h"

namespace dinomaly {

enum class Objective {
  all,     // dense, masked and the penalty
  dense,   // InfoNCE between patches that show the same point, and the penalty
  masked,  // hidden patches predict the teacher's features, and the penalty
  labels,  // supervised, for comparison: the family of each patch's texture
};
Objective parse_objective(const std::string& name);  // throws InputError
std::string name_of(Objective objective);

struct PretrainOptions {
  int64_t width = 192, depth = 12, heads = 3, patch = 16, registers = 4;
  int64_t crop = 112;             // pixels, a multiple of the patch
  int64_t pairs = 32;             // of crops, in a step
  int64_t scene = 320;            // pixels
  int64_t pool = 256, fresh = 4;  // scenes at hand, and how many of them a step replaces
  Objective objective = Objective::all;
  double temperature = 0.15;  // of InfoNCE
  double ema_decay = 0.996;   // of the teacher
  double hidden_share = 0.4;  // of the patches of a crop that has hidden ones, which half of them have
  double variance = 1, covariance = 0.05;                            // weights of the penalty's terms
  double learning_rate = 8e-4, weight_decay = 0.05, warm_up = 0.05;  // the latter a share of the run
  double clip_norm = 1;
  uint64_t seed = 1;
  Dtype dtype = Dtype::bf16;

  EncoderConfig encoder() const;  // DINOv3's kind: rotary positions, registers, LayerScale
  // The blocks whose features Dinomaly uses: 2 to 9 of 12.
  std::vector<int64_t> target_blocks() const;
  // Every option that changes the result, in JSON, for a checkpoint.
  std::string identity() const;
  // Throws InputError naming the option that is impossible.
  void validate() const;
};

}  // namespace dinomaly
