#include "dinomaly/weights/encoder_naming.h"

#include <array>

#include "dinomaly/base/framework.h"
#include "tensor/ops.h"

namespace dinomaly {
namespace {

struct Replacement {
  std::string_view ours, theirs;
};

constexpr std::array<Replacement, 3> timm_rules{
    {{"register_tokens", "reg_token"}, {".mlp.w12.", ".mlp.fc1."}, {".mlp.w3.", ".mlp.fc2."}}};

constexpr std::array<Replacement, 11> transformers_rules{
    {{"cls_token", "embeddings.cls_token"},
     {"pos_embed", "embeddings.position_embeddings"},
     {"register_tokens", "embeddings.register_tokens"},
     {"mask_token", "embeddings.mask_token"},
     {"patch_embed.proj", "embeddings.patch_embeddings.projection"},
     {"blocks.", "encoder.layer."},
     {".attn.proj.", ".attention.output.dense."},
     {".ls1.gamma", ".layer_scale1.lambda1"},
     {".ls2.gamma", ".layer_scale2.lambda1"},
     {".mlp.w12.", ".mlp.weights_in."},
     {".mlp.w3.", ".mlp.weights_out."}}};

template <size_t Count>
std::string renamed(std::string name, const std::array<Replacement, Count>& rules) {
  for (const Replacement& rule : rules) {
    if (const size_t at = name.find(rule.ours); at != std::string::npos)
      name.replace(at, rule.ours.size(), rule.theirs);
  }
  return name;
}

// The sum of CLS and its position, in one or in two tensors: the same tokens come out.
void place_cls(std::map<std::string, Tensor>& tensors, const EncoderConfig& config, bool in_table) {
  if (config.cls_in_position_table == in_table) return;
  Tensor &table = tensors.at("pos_embed"), &cls = tensors.at("cls_token");
  if (in_table) {
    table = cat(std::vector{Tensor::zeros(cls.shape(), table.dtype()), table}, 1);
  } else {
    cls = cls + table.slice(1, 0, 1).to(cls.dtype());
    table = table.slice(1, 1, table.size(1)).contiguous();
  }
}

NamedTensors as_timm(std::map<std::string, Tensor> tensors, const EncoderConfig& config) {
  place_cls(tensors, config, config.registers == 0);
  tensors.erase("mask_token");
  NamedTensors result;
  for (const auto& [name, tensor] : tensors) result.emplace_back(renamed(name, timm_rules), tensor);
  return result;
}

NamedTensors as_transformers(std::map<std::string, Tensor> tensors, const EncoderConfig& config) {
  place_cls(tensors, config, true);
  for (int64_t block = 0; !config.layer_scale && block < config.depth; ++block) {
    for (const char* part : {"ls1", "ls2"}) {
      tensors[fmt::format("blocks.{}.{}.gamma", block, part)] = Tensor::ones({config.width});
    }
  }
  NamedTensors result;
  for (const auto& [name, tensor] : tensors) {
    const std::string other = name.starts_with("norm.") ? "layer" + name : renamed(name, transformers_rules);
    const size_t qkv = other.find(".attn.qkv.");
    if (qkv == std::string::npos) {
      result.emplace_back(other, tensor);
      continue;
    }
    int64_t begin = 0;
    for (const char* part : {"query", "key", "value"}) {
      std::string split = other;
      split.replace(qkv, std::string_view(".attn.qkv.").size(),
                    fmt::format(".attention.attention.{}.", part));
      result.emplace_back(split, tensor.slice(0, begin, begin + config.width));
      begin += config.width;
    }
  }
  return result;
}

}  // namespace

Naming parse_naming(const std::string& name) {
  if (name == "meta") return Naming::meta;
  if (name == "timm") return Naming::timm;
  if (name == "transformers") return Naming::transformers;
  fail_input("unknown names '{}': expected meta, timm or transformers", name);
}

NamedTensors named_as(const EncoderWeights& weights, Naming naming) {
  std::map<std::string, Tensor> tensors = weights.unused;
  tensors.insert(weights.tensors.begin(), weights.tensors.end());
  if (naming == Naming::timm) return as_timm(std::move(tensors), weights.config);
  if (naming == Naming::transformers) return as_transformers(std::move(tensors), weights.config);
  place_cls(tensors, weights.config, true);
  return {tensors.begin(), tensors.end()};
}

}  // namespace dinomaly
