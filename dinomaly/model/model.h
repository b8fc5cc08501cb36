// Dinomaly: a frozen encoder, a noisy bottleneck and a decoder that learns to reconstruct the encoder's
// features of normal images (Guo et al., CVPR 2025, arXiv 2405.14325).
//
// [snippet: model]
//   image (3, H, W) -> DINOv2, blocks 2..9 -> eight features (T, D)            frozen
//   their mean (T, D) -> bottleneck -> 8 decoder blocks -> eight outputs (T, D)  trained
//   encoder groups:  mean of the first four features,   mean of the last four    (h w, D) each
//   decoder groups:  mean of the last four outputs,     mean of the first four   (h w, D) each
//   map: for each group 1 - cos at every patch -> image size -> mean of both
// [end]
// With Recentering::dinomaly2 each encoder group is recentred and normalised; with a bottleneck_width the bottleneck
// is narrow at first.
#pragma once

#include <vector>

#include "dinomaly/base/framework.h"
#include "dinomaly/model/config.h"
#include "dinomaly/model/encoder.h"
#include "dinomaly/model/whitening.h"
#include "nn/transformer.h"

namespace dinomaly {

// What training needs from a batch of images: constants, since the encoder is frozen. T tokens go through the
// decoder: 1 + registers + h w, or the h w patches alone with remove_class_token or anomalib's recentering.
struct Features {
  Tensor bottleneck_input;        // (B, T, D): the mean of the target features
  std::vector<Tensor> encoded;    // per group (B, h w, D): what is compared of its features, patches only
  int64_t rows = 0, columns = 0;  // h, w

  int64_t batch() const { return bottleneck_input.size(0); }
};

// Both sides of the comparison, per group (B, h w, D).
struct Reconstruction {
  std::vector<Tensor> encoded;
  std::vector<Variable> decoded;
  int64_t rows = 0, columns = 0;
};

// dropout -> fc1 -> GELU -> dropout -> fc2 -> dropout. With a bottleneck_width a linear layer to that width comes
// before the first dropout, and names are Dinomaly2's: 0.0, 1.0 (fc1), 1.3 (fc2).
class Bottleneck : public Module {
 public:
  Bottleneck(int64_t width, const Config& config);
  Variable operator()(const Variable& x, Generator& generator) const;
  // Without dropout, whatever the mode.
  Variable operator()(const Variable& x) const;

 private:
  Linear* narrow_ = nullptr;
  Linear& fc1_;
  Linear& fc2_;
  Dropout& dropout_;
};

// x += attn(norm1(x)); x += mlp(norm2(x)), with linear attention unless the config asks for softmax.
class DecoderBlock : public Module {
 public:
  DecoderBlock(int64_t width, int64_t heads, const Config& config);
  Variable operator()(const Variable& x) const;

 private:
  LayerNorm& norm1_;
  LinearAttention* attn_ = nullptr;
  Attention* softmax_attn_ = nullptr;  // of the two there is one
  LayerNorm& norm2_;
  Mlp& mlp_;
};

// Parameter names are the authors': encoder.*, bottleneck.0.fc1.* (or 0.0.*), decoder.N.*. With feature whitening
// there are whitening.input.* and whitening.G.*, too.
class Dinomaly : public Module {
 public:
  enum class Start { drawn, loaded };
  // `config` is completed for the encoder (Config::complete). Trained weights are drawn from config.seed, or
  // left at 0 for a caller that loads others: drawing those of a ViT-B takes seconds.
  Dinomaly(const EncoderConfig& encoder, Config config, Start start = Start::drawn);

  const Config& config() const { return config_; }
  Encoder& encoder() { return encoder_; }
  const Encoder& encoder() const { return encoder_; }
  // Null without Config::feature_whitening.
  FeatureWhitening* whitening() { return whitening_; }
  const FeatureWhitening* whitening() const { return whitening_; }
  // Everything but the encoder and the whitening.
  std::vector<Variable> trained_parameters() const;
  std::vector<std::pair<std::string, Variable>> named_trained_parameters() const;

  // images (B, channels, H, W), normalised, of any dtype and device: converted to the model's. With depth
  // (B, 6, H, W), images and depth pictures; each target feature is then the mean of both. Never recorded. Throws
  // InputError for images of other channels, without depth where the config says with_depth, and the other way round.
  Features encode(const Tensor& images) const;
  // The two halves of encode(): the features as they come from the encoder, and the same whitened.
  Features encode_raw(const Tensor& images) const;
  Features whitened(Features features) const;
  // Bottleneck and decoder; in training mode dropout draws from `generator`.
  Reconstruction reconstruct(const Features& features, Generator& generator) const;
  // For inference: no dropout, whatever the mode.
  Reconstruction reconstruct(const Features& features) const;

 private:
  Reconstruction decode(Variable x, const Features& features) const;

  Config config_;
  Encoder& encoder_;
  FeatureWhitening* whitening_ = nullptr;
  Bottleneck& bottleneck_;
  std::vector<DecoderBlock*> decoder_;
};

}  // namespace dinomaly
