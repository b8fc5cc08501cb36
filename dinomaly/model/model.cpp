#include "dinomaly/model/model.h"

#include <algorithm>

#include "autograd/ops/ops.h"
#include "dinomaly/base/framework.h"
#include "dinomaly/base/numbers.h"
#include "nn/init.h"
#include "tensor/ops.h"

namespace dinomaly {

namespace {

Config completed(Config config, const EncoderConfig& encoder) {
  config.complete(encoder.depth, encoder.patch, encoder.channels);
  check_input(config.feature_whitening.value_or(0) <= encoder.width,
              "feature_whitening: rank {} is larger than the encoder's width {}",
              config.feature_whitening.value_or(0), encoder.width);
  return config;
}

// A running mean: the sum so far and the count to divide it by.
struct Mean {
  Tensor sum;
  int64_t count = 0;

  void add(const Tensor& x) {
    if (sum.defined())
      add_(sum, x);
    else
      sum = x.clone();
    ++count;
  }
  Tensor value() const { return sum * (1.0 / static_cast<double>(count)); }
};

// A LayerNorm without weights: each token x (..., D) on its own.
Tensor layer_normalised(const Tensor& x) {
  constexpr double eps = 1e-8;
  const Shape width{x.shape().back()};
  return layer_norm(x, Tensor::ones(width, x.dtype(), x.device()),
                    Tensor::zeros(width, x.dtype(), x.device()), eps)
      .value();
}

// (B, 6, H, W) -> (2 B, 3, H, W): the images, then their depth pictures.
Tensor images_and_depth(const Tensor& both) {
  const int64_t half = both.size(1) / 2;
  return cat(std::vector<Tensor>{both.slice(1, 0, half), both.slice(1, half, both.size(1))}, 0);
}

// (2 B, T, D) -> (B, T, D).
Tensor mean_of_halves(const Tensor& x) {
  const int64_t half = x.size(0) / 2;
  return x.slice(0, 0, half) * 0.5 + x.slice(0, half, x.size(0)) * 0.5;
}

void check_images(const Config& config, const Tensor& images) {
  const int64_t expected = config.image.pixels.channels, found = images.size(1);
  check_input(!config.with_depth || found == 6,
              "the model was trained on images with their depth and cannot judge images alone");
  check_input(config.with_depth || expected != 3 || found != 6,
              "the model was trained on images alone and cannot judge images with depth");
  check_input(config.with_depth || found == expected,
              "the model was trained on images of {} and cannot judge images of {}",
              counted(expected, "channel"), found);
}

}  // namespace

Bottleneck::Bottleneck(int64_t width, const Config& config)
    : narrow_(config.bottleneck_width == 0
                  ? nullptr
                  : &add<Linear>("0.0", width, config.bottleneck_width, config.bottleneck_bias)),
      fc1_(add<Linear>(narrow_ ? "1.0" : "0.fc1", narrow_ ? config.bottleneck_width : width, 4 * width,
                       config.bottleneck_bias)),
      fc2_(add<Linear>(narrow_ ? "1.3" : "0.fc2", 4 * width, width, config.bottleneck_bias)),
      dropout_(add<Dropout>("drop", config.dropout)) {}

Variable Bottleneck::operator()(const Variable& x, Generator& generator) const {
  const Variable first = dropout_(narrow_ ? (*narrow_)(x) : x, generator);
  const Variable hidden = dropout_(fc1_.gelu(first, fc2_), generator);
  return dropout_(fc2_(hidden, {}, x.dtype()), generator);
}

Variable Bottleneck::operator()(const Variable& x) const {
  return fc2_(fc1_.gelu(narrow_ ? (*narrow_)(x) : x, fc2_), {}, x.dtype());
}

DecoderBlock::DecoderBlock(int64_t width, int64_t heads, const Config& config)
    : norm1_(add<LayerNorm>("norm1", width, config.decoder_norm_eps)),
      attn_(config.softmax_attention
                ? nullptr
                : &add<LinearAttention>("attn", width, heads, config.linear_attention_eps)),
      softmax_attn_(config.softmax_attention ? &add<Attention>("attn", width, heads) : nullptr),
      norm2_(add<LayerNorm>("norm2", width, config.decoder_norm_eps)),
      mlp_(add<Mlp>("mlp", width, 4 * width, config.decoder_mlp_bias)) {}

Variable DecoderBlock::operator()(const Variable& x) const {
  const Variable normed = norm1_(x);
  const Variable middle = softmax_attn_ ? (*softmax_attn_)(normed, {x, {}}) : (*attn_)(normed, {x, {}});
  return mlp_(norm2_(middle), {middle, {}});
}

Dinomaly::Dinomaly(const EncoderConfig& encoder, Config config, Start start)
    : config_(completed(std::move(config), encoder)),
      encoder_(add<Encoder>("encoder", encoder, config_.preset)),
      bottleneck_(add<Bottleneck>("bottleneck", encoder.width, config_)) {
  for (int64_t i = 0; i < config_.decoder_depth; ++i) {
    decoder_.push_back(
        &add<DecoderBlock>(fmt::format("decoder.{}", i), encoder.width, encoder.heads, config_));
  }
  if (config_.feature_whitening)
    whitening_ = &add<FeatureWhitening>("whitening", encoder.width, config_.encoder_groups.size());
  if (start == Start::loaded) return;
  Generator generator(config_.seed);
  for (const Variable& parameter : trained_parameters()) {  // biases and norms keep their 0 and 1
    if (parameter.shape().rank() == 2)
      truncated_normal(parameter, config_.init_std, config_.init_cut, generator);
  }
}

std::vector<std::pair<std::string, Variable>> Dinomaly::named_trained_parameters() const {
  auto named = named_parameters();
  std::erase_if(named, [](const auto& entry) { return entry.first.starts_with("encoder."); });
  return named;
}

std::vector<Variable> Dinomaly::trained_parameters() const {
  std::vector<Variable> parameters;
  for (auto& [name, parameter] : named_trained_parameters()) parameters.push_back(parameter);
  return parameters;
}

Features Dinomaly::encode(const Tensor& images) const { return whitened(encode_raw(images)); }

// Comes last, so that bottleneck and cosine see white features whatever a preset does to those of the encoder.
Features Dinomaly::whitened(Features features) const {
  if (whitening_ == nullptr) return features;
  features.bottleneck_input = (*whitening_)(0, features.bottleneck_input);
  for (size_t g = 0; g < features.encoded.size(); ++g)
    features.encoded[g] = (*whitening_)(1 + g, features.encoded[g]);
  return features;
}

Features Dinomaly::encode_raw(const Tensor& images) const {
  NoGrad no_recording;
  const Variable anchor = encoder_.parameters().front();
  check_images(config_, images);
  const Tensor moved = images.to(anchor.device()).to(anchor.dtype());
  const Tensor inputs = config_.with_depth ? images_and_depth(moved) : moved;
  const int64_t prefix = encoder_.prefix_tokens();
  Mean all;
  std::vector<Mean> groups(config_.encoder_groups.size());
  encoder_.features(inputs, config_.target_blocks, [&](size_t index, const Variable& output) {
    const Tensor x = config_.with_depth ? mean_of_halves(output.value()) : output.value();
    Tensor patches = x.slice(1, prefix, x.size(1));
    const Tensor own = patches;
    if (config_.recentering != Recentering::none) patches = patches - x.slice(1, 0, 1);
    const bool recentred_input = config_.recentering == Recentering::anomalib;
    all.add(recentred_input ? patches : config_.remove_class_token ? own : x);
    for (size_t g = 0; g < groups.size(); ++g) {
      // A block may appear in a group more than once; then it weighs more.
      const auto& members = config_.encoder_groups[g];
      for (int64_t i = std::count(members.begin(), members.end(), static_cast<int64_t>(index)); i > 0; --i) {
        groups[g].add(patches);
      }
    }
  });
  Features features{
      all.value(), {}, images.size(2) / encoder_.config().patch, images.size(3) / encoder_.config().patch};
  const bool normalise = config_.recentering == Recentering::dinomaly2;
  for (const Mean& group : groups)  // CLS of the mean is the mean of each one's CLS
    features.encoded.push_back(normalise ? layer_normalised(group.value()) : group.value());
  return features;
}

Reconstruction Dinomaly::reconstruct(const Features& features, Generator& generator) const {
  return decode(bottleneck_(features.bottleneck_input, generator), features);
}

Reconstruction Dinomaly::reconstruct(const Features& features) const {
  return decode(bottleneck_(features.bottleneck_input), features);
}

// x (B, T, D): what the bottleneck made of the features.
Reconstruction Dinomaly::decode(Variable x, const Features& features) const {
  std::vector<Variable> outputs;
  for (const DecoderBlock* block : decoder_) outputs.push_back(x = (*block)(x));
  std::reverse(outputs.begin(), outputs.end());

  const int64_t patches = features.rows * features.columns;
  // Distances near 0 are differences of numbers near 1, so they are not computed in bf16.
  const Dtype wide = x.dtype() == Dtype::bf16 ? Dtype::f32 : x.dtype();
  Reconstruction result{{}, {}, features.rows, features.columns};
  for (const Tensor& encoded : features.encoded) result.encoded.push_back(encoded.to(wide));
  for (const auto& members : config_.decoder_groups) {
    Variable sum = outputs[static_cast<size_t>(members[0])];
    for (size_t i = 1; i < members.size(); ++i) sum = sum + outputs[static_cast<size_t>(members[i])];
    const Variable mean = sum * (1.0 / static_cast<double>(members.size()));
    // CLS and registers are dropped.
    const Variable kept = slice(mean, 1, mean.size(1) - patches, mean.size(1));
    result.decoded.push_back(kept.dtype() == wide ? kept : cast(kept, wide));
  }
  return result;
}

}  // namespace dinomaly
