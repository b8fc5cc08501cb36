#include "dinomaly/weights/encoder_naming.h"

#include <algorithm>
#include <array>

#include "dinomaly/base/framework.h"
#include "dinomaly/weights/rope_periods.h"
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

// One tensor as several of equal rows: {"query", "key", "value"} and the like. As it is under one name.
void add_split(NamedTensors& result, const Tensor& whole, const std::vector<std::string>& names) {
  if (names.size() == 1) {
    result.emplace_back(names[0], whole);
    return;
  }
  const int64_t rows = whole.size(0) / static_cast<int64_t>(names.size());
  int64_t begin = 0;
  for (const std::string& name : names) {
    if (!name.empty()) result.emplace_back(name, whole.slice(0, begin, begin + rows));
    begin += rows;
  }
}

std::vector<std::string> transformers_names(const std::string& name) {
  const std::string other = name.starts_with("norm.") ? "layer" + name : renamed(name, transformers_rules);
  const size_t qkv = other.find(".attn.qkv.");
  if (qkv == std::string::npos) return {other};
  std::vector<std::string> parts;
  for (const char* part : {"query", "key", "value"}) {
    parts.push_back(other);
    parts.back().replace(qkv, std::string_view(".attn.qkv.").size(),
                         fmt::format(".attention.attention.{}.", part));
  }
  return parts;
}

NamedTensors as_transformers(std::map<std::string, Tensor> tensors, const EncoderConfig& config) {
  place_cls(tensors, config, true);
  for (int64_t block = 0; !config.layer_scale && block < config.depth; ++block) {
    for (const char* part : {"ls1", "ls2"}) {
      tensors[fmt::format("blocks.{}.{}.gamma", block, part)] = Tensor::ones({config.width});
    }
  }
  NamedTensors result;
  for (const auto& [name, tensor] : tensors) add_split(result, tensor, transformers_names(name));
  return result;
}

bool is_zero(const Tensor& tensor) {
  const std::vector<float> values = tensor.to(Dtype::f32).to_vector<float>();
  return std::all_of(values.begin(), values.end(), [](float value) { return value == 0; });
}

bool has_biases(const std::map<std::string, Tensor>& tensors) {
  return std::any_of(tensors.begin(), tensors.end(), [](const auto& entry) {
    return entry.first.ends_with(".attn.qkv.bias") && !is_zero(entry.second);
  });
}

// 1 over queries, 0 over keys, 1 over values.
Tensor key_bias_mask(const Tensor& bias) {
  const int64_t width = bias.size(0) / 3;
  const Tensor ones = Tensor::ones({width}, bias.dtype()), zeros = Tensor::zeros({width}, bias.dtype());
  return cat(std::vector{ones, zeros, ones}, 0);
}

constexpr std::array<Replacement, 4> timm_rotary_rules{{{"storage_tokens", "reg_token"},
                                                        {".ls1.gamma", ".gamma_1"},
                                                        {".ls2.gamma", ".gamma_2"},
                                                        {".mlp.w3.", ".mlp.fc2."}}};

constexpr std::array<Replacement, 11> transformers_rotary_rules{
    {{"cls_token", "embeddings.cls_token"},
     {"storage_tokens", "embeddings.register_tokens"},
     {"mask_token", "embeddings.mask_token"},
     {"patch_embed.proj", "embeddings.patch_embeddings"},
     {"blocks.", "layer."},
     {".attn.proj.", ".attention.o_proj."},
     {".ls1.gamma", ".layer_scale1.lambda1"},
     {".ls2.gamma", ".layer_scale2.lambda1"},
     {".mlp.fc1.", ".mlp.up_proj."},
     {".mlp.fc2.", ".mlp.down_proj."},
     {".mlp.w3.", ".mlp.down_proj."}}};

std::string rotary_name(const std::string& name, Naming naming) {
  if (naming == Naming::timm) return renamed(name, timm_rotary_rules);
  if (naming == Naming::transformers) return renamed(name, transformers_rotary_rules);
  return name;
}

// The places of a tensor that DINOv3 splits, or none. An empty place is left out: keys have no bias.
std::vector<std::string> rotary_parts(const std::string& name, Naming naming) {
  const auto in_place = [&](std::string_view ours, const char* theirs) {
    std::string other = name;
    other.replace(name.find(ours), ours.size(), theirs);
    return naming == Naming::transformers ? renamed(other, transformers_rotary_rules) : other;
  };
  if (name.find(".mlp.w12.") != std::string::npos) {
    if (naming == Naming::meta) return {in_place("w12", "w1"), in_place("w12", "w2")};
    if (naming == Naming::timm) return {in_place("w12", "fc1_g"), in_place("w12", "fc1_x")};
    return {in_place("w12", "gate_proj"), in_place("w12", "up_proj")};
  }
  const bool bias = name.ends_with(".attn.qkv.bias");
  if (naming == Naming::timm && bias)
    return {in_place("qkv.bias", "q_bias"), "", in_place("qkv.bias", "v_bias")};
  if (naming == Naming::transformers && (bias || name.ends_with(".attn.qkv.weight"))) {
    return {in_place("attn.qkv", "attention.q_proj"), bias ? "" : in_place("attn.qkv", "attention.k_proj"),
            in_place("attn.qkv", "attention.v_proj")};
  }
  return {};
}

NamedTensors rotary_as(std::map<std::string, Tensor> tensors, Naming naming) {
  const bool biases = has_biases(tensors);
  if (naming == Naming::timm) tensors.erase("mask_token");
  if (naming != Naming::meta) tensors.erase("rope_embed.periods");
  NamedTensors result;
  for (const auto& [name, tensor] : tensors) {
    const bool bias = name.ends_with(".attn.qkv.bias");
    if (bias && !biases) continue;
    const std::vector<std::string> parts = rotary_parts(name, naming);
    if (!parts.empty())
      add_split(result, tensor, parts);
    else if (naming == Naming::transformers && name == "mask_token")
      result.emplace_back("embeddings.mask_token", tensor.reshape({1, 1, tensor.numel()}));
    else
      result.emplace_back(rotary_name(name, naming), tensor);
    if (bias && naming == Naming::meta) result.emplace_back(name + "_mask", key_bias_mask(tensor));
  }
  return result;
}

}  // namespace

Naming parse_naming(const std::string& name) {
  if (name == "meta") return Naming::meta;
  if (name == "timm") return Naming::timm;
  if (name == "transformers") return Naming::transformers;
  fail_input("--names: '{}' is not one of meta, timm, transformers", name);
}

NamedTensors named_as(const EncoderWeights& weights, Naming naming) {
  std::map<std::string, Tensor> tensors = weights.unused;
  tensors.insert(weights.tensors.begin(), weights.tensors.end());
  if (weights.config.rotary) return rotary_as(std::move(tensors), naming);
  if (naming == Naming::timm) return as_timm(std::move(tensors), weights.config);
  if (naming == Naming::transformers) return as_transformers(std::move(tensors), weights.config);
  place_cls(tensors, weights.config, true);
  return {tensors.begin(), tensors.end()};
}

std::vector<std::string> names_in(Naming naming, const std::string& name, bool rotary) {
  if (rotary) {
    std::vector<std::string> parts = rotary_parts(name, naming);
    std::erase(parts, "");
    return parts.empty() ? std::vector{rotary_name(name, naming)} : parts;
  }
  if (naming == Naming::timm) return {renamed(name, timm_rules)};
  return naming == Naming::transformers ? transformers_names(name) : std::vector{name};
}

bool drops_periods(const EncoderWeights& weights, Naming naming) {
  if (!weights.config.rotary || naming == Naming::meta) return false;
  for (const auto& [name, tensor] : weights.tensors) {
    if (name != "rope_embed.periods") continue;
    const Tensor computed = rope_periods(4 * tensor.numel());
    return tensor.to_vector<float>() != computed.to_vector<float>();
  }
  return false;
}

}  // namespace dinomaly
