#include "dinomaly/pretraining/pretrain_model.h"

#include <numeric>

#include "dinomaly/pretraining/texture.h"
#include "dinomaly/weights/encoder_naming.h"
#include "nn/init.h"
#include "tensor/io/safetensors.h"

namespace dinomaly {

namespace {
constexpr int64_t projected = 128;
constexpr double layer_scale_start = 0.1;
const std::string encoder_prefix = "encoder.";
}  // namespace

PretrainModel::PretrainModel(const PretrainOptions& options, Generator& generator)
    : options_(options),
      encoder_(add<Encoder>("encoder", options.encoder(), Preset::paper)),
      norm_(add<LayerNorm>("norm", options.width, options.encoder().norm_eps)),
      mask_token_(parameter("mask_token", Tensor::zeros({1, options.width}))),
      project1_(add<Linear>("project1", options.width, 2 * options.width)),
      project2_(add<Linear>("project2", 2 * options.width, projected)),
      predict1_(add<Linear>("predict1", options.width, 2 * options.width)),
      predict2_(add<Linear>("predict2", 2 * options.width, options.width)),
      classify_(add<Linear>("classify", options.width, static_cast<int64_t>(TextureFamily::count))) {
  draw_weights(generator);
  to(options.dtype);
  keep_keys_without_bias();
}

void PretrainModel::draw_weights(Generator& generator) {
  for (const auto& [name, parameter] : named_parameters()) {
    if (name.ends_with("gamma"))
      parameter.value().fill(layer_scale_start);
    else if (name.ends_with("_token") || name.ends_with("_tokens"))
      truncated_normal(parameter, 0.02, 0.04, generator);
    else if (parameter.shape().rank() >= 2)
      xavier_uniform(parameter, generator);
  }
}

// DINOv3's files have no bias of the keys: it stays the 0 it begins with.
void PretrainModel::keep_keys_without_bias() const {
  for (const auto& [name, parameter] : named_parameters()) {
    if (!name.ends_with("attn.qkv.bias")) continue;
    parameter.register_hook([width = options_.width](const Tensor& gradient) {
      Tensor without_keys = gradient.clone();
      without_keys.slice(0, width, 2 * width).fill(0);
      return without_keys;
    });
  }
}

PatchFeatures PretrainModel::features(const Variable& crops, const Tensor& hidden) const {
  const std::vector<int64_t> targets = options_.target_blocks();
  std::vector<int64_t> wanted = targets;
  if (wanted.back() != options_.depth - 1) wanted.push_back(options_.depth - 1);
  PatchFeatures result;
  const auto patches = [&](const Variable& tokens) {
    return reshape(slice(tokens, 1, encoder_.prefix_tokens(), tokens.size(1)), {-1, options_.width});
  };
  encoder_.features(crops, wanted,
                    [&](size_t i, const Variable& tokens) {
                      if (i < targets.size()) result.targets.push_back(patches(tokens));
                      if (i + 1 == wanted.size()) result.last = norm_(patches(tokens));
                    },
                    {hidden, mask_token_});
  return result;
}

void PretrainModel::save_encoder(const std::filesystem::path& path, Dtype dtype) const {
  EncoderWeights weights{options_.encoder(), {}};
  for (const auto& [name, tensor] : encoder_.state_dict())
    weights.tensors.emplace_back(name, name == "rope_embed.periods" ? tensor : tensor.to(dtype));
  weights.unused = {{"norm.weight", norm_.weight.value().to(dtype)},
                    {"norm.bias", norm_.bias.value().to(dtype)},
                    {"mask_token", mask_token_.value().to(dtype)}};
  save_safetensors(path, named_as(weights, Naming::meta),
                   {{"license", "MIT"}, {"training", options_.identity()}});
}

}  // namespace dinomaly
