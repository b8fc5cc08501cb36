// Every constant that a published implementation of Dinomaly names, with that implementation's value.
#pragma once

#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <vector>

#include "dinomaly/base/framework.h"
#include "dinomaly/image/preprocess.h"
#include "nn/optim/schedule.h"

namespace dinomaly {

// The public implementations, which differ in the marked fields: the authors' code, Intel's anomalib v2, and
// the authors' Dinomaly2 (arXiv 2510.17611).
enum class Preset { paper, anomalib, dinomaly2 };

// What is subtracted from patch tokens so that they say how they differ from the image as a whole.
//   anomalib: CLS from each target feature, before all else; prefix tokens are dropped there.
//   dinomaly2: CLS from the target of each group alone, which is then normalised (LayerNorm without weights, eps
//     1e-8). What the bottleneck gets is left as it is.
enum class Recentering { none, anomalib, dinomaly2 };

struct Config {
  Preset preset = Preset::paper;

  // Encoder. Empty target blocks: the published ones for the depth (12: 2..9; 24: 4, 6, .., 18; 32: 3, 9, 12, ..,
  // 27), otherwise the eight in the middle.
  std::vector<int64_t> target_blocks;
  bool remove_class_token = false;  // drop CLS and registers before the bottleneck
  // dinomaly2: dinomaly2. Its older name in JSON: context_recentering, true or false.
  Recentering recentering = Recentering::none;
  // For weak encoders (whitening.h): the rank of the features' whitening; none: they are left as they are.
  std::optional<int64_t> feature_whitening;
  double whitening_shrinkage = 0.01;  // added to each eigenvalue, a share of their mean

  // Bottleneck and decoder.
  double dropout = 0.2;          // 0.4 for multi-class Real-IAD; dinomaly2: 0.4, of RGB and infrared 0.2
  int64_t bottleneck_width = 0;  // dinomaly2: 256, of a linear layer before the others; 0: there is none
  bool bottleneck_bias = true;   // anomalib: false
  bool decoder_mlp_bias = true;  // anomalib: false
  int64_t decoder_depth = 8;
  double decoder_norm_eps = 1e-8;
  bool softmax_attention = false;   // in the decoder, instead of linear attention: the ablation of it
  double linear_attention_eps = 0;  // 1e-6 is the authors' remedy for NaN; dinomaly2: 1e-8
  double init_std = 0.01, init_cut = 0.03;
  // Which target blocks and which (reversed) decoder blocks are fused. Empty: the two halves.
  std::vector<std::vector<int64_t>> encoder_groups, decoder_groups;

  // Loss: the easiest share of the points, growing linearly over mining_steps, gets mining_factor
  // of its gradient.
  double mining_share = 0.9;
  int64_t mining_steps = 1000;
  double mining_factor = 0.1;

  // Optimisation.
  int64_t iterations = 10000;  // anomalib: 5000; dinomaly2: 40000 (by the data: training/fit_to_data.cpp)
  int64_t batch = 16;
  uint64_t seed = 1;
  double learning_rate = 2e-3;
  double final_learning_rate = 2e-4;  // not of dinomaly2, which has
  double lr_decay_ratio = 1;          // the last learning rate by the first; 1: it stays
  // Of the learning rate, for bottleneck.0.*. dinomaly2: 0.1, of views and depth 1; it is the first layer there.
  double bottleneck_lr_factor = 1;
  int64_t warmup_steps = 100;
  double beta1 = 0.9, beta2 = 0.999;
  double adam_eps = 1e-10;  // anomalib: 1e-8
  double weight_decay = 1e-4;
  double clip_norm = 0.1;
  bool amsgrad = true;  // dinomaly2: false
  // dinomaly2: true. Steps whose gradients hold NaN or Inf are skipped, with a warning.
  bool skip_not_finite = false;

  // Images. A size of 0 becomes 448 (resize) or 392 (crop), with a patch of 16 pixels 512 or 448.
  // No channels: the encoder's; no mean or std: ImageNet's for so many channels.
  ImageConfig image{.resize_h = 0,
                    .resize_w = 0,
                    .crop_h = 0,
                    .crop_w = 0,
                    .mean = {},
                    .std = {},
                    .pixels = {.channels = 0}};
  bool with_depth =
      false;  // of 3 channels: each comes with its depth picture; a target feature is the mean of both

  // Map and score.
  int64_t map_size = 256;
  int64_t blur_size = 5;
  double blur_sigma = 4;
  bool blur_reflects = false;  // what lies outside the map: zeros, or its mirror image (anomalib)
  double score_ratio = 0.01;   // the score is the mean of that share of the largest values; 0: the largest

  static Config with_preset(Preset preset);
  WarmCosineSchedule schedule() const;

  // Fills in what was left empty. Throws InputError for values that make no sense with an encoder of that
  // depth, patch size and number of input channels.
  void complete(int64_t encoder_depth, int64_t patch, int64_t channels = 3);

  // All fields under their names, but for those of a whitening, or of softmax attention, that there is not. update_from_json() changes only the named fields; it also knows the older
  // context_recentering. Throws InputError naming `source` for unknown names, wrong types and a preset other than
  // this one.
  nlohmann::json to_json() const;
  void update_from_json(const nlohmann::json& values, const std::string& source);
};

// An object of options written before some existed, with what the program did then in place of those.
nlohmann::json with_old_options(nlohmann::json values);

Preset parse_preset(const std::string& name);  // of those above; anything else throws InputError
std::string name_of(Preset preset);
std::string name_of(Recentering recentering);

}  // namespace dinomaly
