// What is trained: an encoder, and the heads that only training needs.
#pragma once

#include <filesystem>
#include <vector>

#include "dinomaly/base/framework.h"
#include "dinomaly/model/encoder.h"
#include "dinomaly/pretraining/pretrain_options.h"

namespace dinomaly {

// What a pass gives, for crops (B, 3, H, W) of P patches each.
struct PatchFeatures {
  std::vector<Variable> targets;  // of each target block the patches' tokens (B * P, D)
  Variable last;                  // of the last block after the final norm, (B * P, D)
};

class PretrainModel : public Module {
 public:
  // Random weights by the generator.
  PretrainModel(const PretrainOptions& options, Generator& generator);

  PatchFeatures features(const Variable& crops, const Tensor& hidden = {}) const;
  Variable project(const Variable& last) const {
    return project2_(gelu(project1_(last)));
  }  // (N, 128), for InfoNCE
  Variable predict(const Variable& last) const {
    return predict2_(gelu(predict1_(last)));
  }                                                                          // (N, D), of hidden patches
  Variable classify(const Variable& last) const { return classify_(last); }  // (N, families): logits

  const Encoder& encoder() const { return encoder_; }
  // Writes the encoder under the names of DINOv3's files, with its final norm and mask token; whole or not at all.
  void save_encoder(const std::filesystem::path& path, Dtype dtype) const;

 private:
  void draw_weights(Generator& generator);
  void keep_keys_without_bias() const;

  PretrainOptions options_;
  Encoder& encoder_;
  LayerNorm& norm_;
  Variable mask_token_;  // (1, D)
  Linear &project1_, &project2_, &predict1_, &predict2_, &classify_;
};

}  // namespace dinomaly
