#include "dinomaly/weights/encoder_places.h"

#include <fmt/format.h>

#include <algorithm>
#include <span>

#include "dinomaly/base/framework.h"

namespace dinomaly {
namespace {

using enum Place::Libraries;

struct Rule {
  std::string_view theirs, meta;
  unsigned libraries = all;
  size_t part = 0, parts = 1;
};

// Whole names, or with ".weight" and ".bias" after them.
constexpr Rule top_rules[] = {
    {"cls_token", "cls_token", meta_or_timm},
    {"pos_embed", "pos_embed", meta_or_timm},
    {"register_tokens", "register_tokens", meta},
    {"storage_tokens", "storage_tokens", meta},
    {"rope_embed.periods", "rope_embed.periods", meta},
    {"patch_embed.proj", "patch_embed.proj", meta_or_timm},
    {"reg_token", "register_tokens", timm},
    {"dist_token", "register_tokens", meta_or_timm},
    {"embeddings.cls_token", "cls_token", transformers},
    {"embeddings.position_embeddings", "pos_embed", transformers},
    {"embeddings.register_tokens", "register_tokens", transformers},
    {"embeddings.patch_embeddings.projection", "patch_embed.proj", transformers},
    {"embeddings.patch_embeddings", "patch_embed.proj", transformers},  // DINOv3
};

// Inside a block. transformers 5 writes the earlier names of DINOv2 and has the shorter ones (q_proj, ...) in memory;
// of DINOv3 it has the shorter ones alone.
constexpr Rule block_rules[] = {
    {"norm1", "norm1"},
    {"norm2", "norm2"},
    {"attn.qkv", "attn.qkv", meta_or_timm},
    {"attn.qkv.bias_mask", "attn.qkv.bias_mask", meta},
    {"attn.proj", "attn.proj", meta_or_timm},
    {"ls1.gamma", "ls1.gamma", meta_or_timm},
    {"ls2.gamma", "ls2.gamma", meta_or_timm},
    {"mlp.fc1", "mlp.fc1"},
    {"mlp.fc2", "mlp.fc2"},
    {"mlp.w12", "mlp.w12", meta},
    {"mlp.w1", "mlp.w12", meta, 0, 2},
    {"mlp.w2", "mlp.w12", meta, 1, 2},
    {"mlp.w3", "mlp.w3", meta},
    {"attn.q_bias", "attn.qkv.bias", timm, 0, 3},
    {"attn.k_bias", "attn.qkv.bias", timm, 1, 3},
    {"attn.v_bias", "attn.qkv.bias", timm, 2, 3},
    {"gamma_1", "ls1.gamma", timm},
    {"gamma_2", "ls2.gamma", timm},
    {"mlp.fc1_g", "mlp.w12", timm, 0, 2},
    {"mlp.fc1_x", "mlp.w12", timm, 1, 2},
    {"attention.attention.query", "attn.qkv", transformers, 0, 3},
    {"attention.attention.key", "attn.qkv", transformers, 1, 3},
    {"attention.attention.value", "attn.qkv", transformers, 2, 3},
    {"attention.output.dense", "attn.proj", transformers},
    {"attention.q_proj", "attn.qkv", transformers, 0, 3},
    {"attention.k_proj", "attn.qkv", transformers, 1, 3},
    {"attention.v_proj", "attn.qkv", transformers, 2, 3},
    {"attention.o_proj", "attn.proj", transformers},
    {"layer_scale1.lambda1", "ls1.gamma", transformers},
    {"layer_scale2.lambda1", "ls2.gamma", transformers},
    {"mlp.weights_in", "mlp.w12", transformers},
    {"mlp.weights_out", "mlp.w3", transformers},
    {"mlp.gate_proj", "mlp.w12", transformers, 0, 2},
    {"mlp.up_proj", "mlp.w12", transformers, 1, 2},
    {"mlp.down_proj", "mlp.w3", transformers},
};

// At the top of the encoder, but not run by Dinomaly.
constexpr Rule unused_rules[] = {{"norm", "norm"},
                                 {"layernorm", "norm", transformers},
                                 {"mask_token", "mask_token", meta_or_timm},
                                 {"embeddings.mask_token", "mask_token", transformers}};
// The beginnings of names of what is dropped: heads, and norms of DINOv3's training alone.
constexpr std::string_view dropped[] = {"fc_norm.",    "head.",           "head_dist.",
                                        "classifier.", "dino_head.",      "ibot_head.",
                                        "cls_norm.",   "local_cls_norm.", "projectors."};

std::optional<Place> find_place(std::span<const Rule> rules, std::string_view name) {
  for (const Rule& rule : rules) {
    if (rule.theirs == name)
      return Place{std::string(rule.meta), rule.part, rule.parts, rule.libraries, std::string(name)};
  }
  const std::string spelling(name);
  std::string_view suffix;
  for (const std::string_view candidate : {".weight", ".bias"}) {
    if (name.ends_with(candidate)) suffix = candidate;
  }
  name.remove_suffix(suffix.size());
  for (const Rule& rule : rules) {
    if (!suffix.empty() && rule.theirs == name)
      return Place{fmt::format("{}{}", rule.meta, suffix), rule.part, rule.parts, rule.libraries, spelling};
  }
  return std::nullopt;
}

bool starts_with_index(std::string_view name) { return !name.empty() && name[0] >= '0' && name[0] <= '9'; }

// Takes "11." from the front of a name and returns "11"; empty if there is no such number.
std::string_view take_index(std::string_view& name) {
  const size_t digits = std::min(name.find_first_not_of("0123456789"), name.size());
  if (digits == 0 || digits > 6 || !name.substr(digits).starts_with(".")) return "";
  const std::string_view index = name.substr(0, digits);
  name.remove_prefix(digits + 1);
  return index;
}

}  // namespace

std::optional<Place> place_of(std::string_view name) {
  for (const std::string_view blocks : {"blocks.", "encoder.layer.", "layer.", "model.layer."}) {
    if (!name.starts_with(blocks)) continue;
    std::string_view rest = name.substr(blocks.size());
    std::string_view index = take_index(rest);
    // DINOv2 trains with blocks in chunks, in each of which they are counted from the first chunk on.
    if (blocks == "blocks." && !index.empty() && starts_with_index(rest)) index = take_index(rest);
    if (index.empty()) return std::nullopt;
    std::optional<Place> place = find_place(block_rules, rest);
    if (!place) return std::nullopt;
    place->name = fmt::format("blocks.{}.{}", index, place->name);
    place->spelling = fmt::format("{}{}", blocks, place->spelling);
    place->libraries &= blocks == "blocks." ? meta_or_timm : transformers;
    return place;
  }
  return find_place(top_rules, name);
}

std::optional<Place> place_of_unused(std::string_view name) { return find_place(unused_rules, name); }

bool is_dropped(std::string_view name) {
  return std::any_of(std::begin(dropped), std::end(dropped),
                     [&](std::string_view start) { return name.starts_with(start); });
}

}  // namespace dinomaly
