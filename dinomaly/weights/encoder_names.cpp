#include "dinomaly/weights/encoder_names.h"

#include <algorithm>
#include <array>
#include <optional>
#include <set>
#include <string_view>

#include "dinomaly/base/framework.h"
#include "dinomaly/weights/weights_file.h"
#include "tensor/io/printable.h"
#include "tensor/ops.h"

namespace dinomaly {
namespace {

// Where a tensor of a file goes: part `part` of `parts`, joined along axis 0.
struct Place {
  std::string name;
  size_t part = 0, parts = 1;
};

struct Rule {
  std::string_view theirs, meta;
  size_t part = 0, parts = 1;
};

// Whole names, or with ".weight" and ".bias" after them.
constexpr std::array<Rule, 10> top_rules{{{"cls_token", "cls_token"},
                                          {"pos_embed", "pos_embed"},
                                          {"register_tokens", "register_tokens"},
                                          {"patch_embed.proj", "patch_embed.proj"},
                                          {"reg_token", "register_tokens"},
                                          {"dist_token", "register_tokens"},
                                          {"embeddings.cls_token", "cls_token"},
                                          {"embeddings.position_embeddings", "pos_embed"},
                                          {"embeddings.register_tokens", "register_tokens"},
                                          {"embeddings.patch_embeddings.projection", "patch_embed.proj"}}};

// Inside a block. transformers 5 writes the earlier names and has the shorter ones (q_proj, ...) in memory.
constexpr std::array<Rule, 25> block_rules{{{"norm1", "norm1"},
                                            {"norm2", "norm2"},
                                            {"attn.qkv", "attn.qkv"},
                                            {"attn.proj", "attn.proj"},
                                            {"ls1.gamma", "ls1.gamma"},
                                            {"ls2.gamma", "ls2.gamma"},
                                            {"mlp.fc1", "mlp.fc1"},
                                            {"mlp.fc2", "mlp.fc2"},
                                            {"mlp.w12", "mlp.w12"},
                                            {"mlp.w3", "mlp.w3"},
                                            {"attention.attention.query", "attn.qkv", 0, 3},
                                            {"attention.attention.key", "attn.qkv", 1, 3},
                                            {"attention.attention.value", "attn.qkv", 2, 3},
                                            {"attention.output.dense", "attn.proj"},
                                            {"attention.q_proj", "attn.qkv", 0, 3},
                                            {"attention.k_proj", "attn.qkv", 1, 3},
                                            {"attention.v_proj", "attn.qkv", 2, 3},
                                            {"attention.o_proj", "attn.proj"},
                                            {"layer_scale1.lambda1", "ls1.gamma"},
                                            {"layer_scale2.lambda1", "ls2.gamma"},
                                            {"mlp.weights_in", "mlp.w12"},
                                            {"mlp.weights_out", "mlp.w3"},
                                            {"mlp.gate_proj", "mlp.w12", 0, 2},
                                            {"mlp.up_proj", "mlp.w12", 1, 2},
                                            {"mlp.down_proj", "mlp.w3"}}};

// At the top of the encoder, but not run by Dinomaly.
constexpr std::array<Rule, 4> unused_rules{{{"norm", "norm"},
                                            {"layernorm", "norm"},
                                            {"mask_token", "mask_token"},
                                            {"embeddings.mask_token", "mask_token"}}};
constexpr std::array<std::string_view, 6> heads{"fc_norm.",    "head.",      "head_dist.",
                                                "classifier.", "dino_head.", "ibot_head."};

template <size_t Count>
std::optional<Place> find_place(const std::array<Rule, Count>& rules, std::string_view name) {
  std::string_view suffix;
  for (const std::string_view candidate : {".weight", ".bias"}) {
    if (name.ends_with(candidate)) suffix = candidate;
  }
  name.remove_suffix(suffix.size());
  for (const Rule& rule : rules) {
    if (rule.theirs == name) return Place{fmt::format("{}{}", rule.meta, suffix), rule.part, rule.parts};
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

std::optional<Place> place_of(std::string_view name) {
  for (const std::string_view blocks : {"blocks.", "encoder.layer."}) {
    if (!name.starts_with(blocks)) continue;
    std::string_view rest = name.substr(blocks.size());
    std::string_view index = take_index(rest);
    // DINOv2 trains with blocks in chunks, in each of which they are counted from the first chunk on.
    if (blocks == "blocks." && !index.empty() && starts_with_index(rest)) index = take_index(rest);
    if (index.empty()) return std::nullopt;
    std::optional<Place> place = find_place(block_rules, rest);
    if (place) place->name = fmt::format("blocks.{}.{}", index, place->name);
    return place;
  }
  return find_place(top_rules, name);
}

bool is_of_head(std::string_view name) {
  return std::any_of(heads.begin(), heads.end(),
                     [&](std::string_view start) { return name.starts_with(start); });
}

Tensor join(const std::vector<Tensor>& parts, const std::string& name, const std::string& source) {
  if (parts.size() == 1) return parts[0];
  for (const Tensor& part : parts) {
    const bool fits =
        part.rank() >= 1 && part.shape() == parts[0].shape() && part.dtype() == parts[0].dtype();
    check_input(fits, "{}: the parts of {} differ: {} {} and {} {}", source, name, parts[0].dtype(),
                parts[0].shape(), part.dtype(), part.shape());
  }
  return cat(parts, 0);
}

// timm packs SwiGLU's gate and value into fc1.
void rename_packed_swiglu(std::map<std::string, Tensor>& tensors) {
  const auto fc1 = tensors.find("blocks.0.mlp.fc1.weight"), fc2 = tensors.find("blocks.0.mlp.fc2.weight");
  if (fc1 == tensors.end() || fc2 == tensors.end()) return;
  if (fc1->second.rank() != 2 || fc2->second.rank() != 2) return;
  if (fc1->second.size(0) != 2 * fc2->second.size(1)) return;
  std::map<std::string, Tensor> renamed;
  for (const auto& [name, tensor] : tensors) {
    std::string other = name;
    if (const size_t at = name.find(".mlp.fc1."); at != std::string::npos) other.replace(at, 9, ".mlp.w12.");
    if (const size_t at = name.find(".mlp.fc2."); at != std::string::npos) other.replace(at, 9, ".mlp.w3.");
    renamed[other] = tensor;
  }
  tensors = std::move(renamed);
}

}  // namespace

NamedEncoder to_meta_names(const std::map<std::string, Tensor>& tensors,
                           const std::map<std::string, std::string>& skipped, const std::string& source) {
  NamedEncoder result;
  for (const auto& [name, what] : skipped) {
    if (place_of(name)) check_readable(skipped, name, source);
  }
  std::map<std::string, std::vector<Tensor>> parts;
  for (const auto& [name, tensor] : tensors) {
    const std::optional<Place> place = place_of(name);
    result.cls_in_table |= name.starts_with("embeddings.") || name == "mask_token";
    if (!place) {
      if (const std::optional<Place> unused = find_place(unused_rules, name))
        result.unused[unused->name] = tensor;
      else if (is_of_head(name))
        ++result.heads;
      else
        result.unexpected.push_back(name);
      continue;
    }
    std::vector<Tensor>& slots = parts[place->name];
    if (slots.empty()) slots.resize(place->parts);
    check_input(slots.size() == place->parts && !slots[place->part], "{}: several tensors map to {}", source,
                place->name);
    slots[place->part] = tensor;
  }
  for (const auto& [name, slots] : parts) {
    const bool complete =
        std::all_of(slots.begin(), slots.end(), [](const Tensor& part) { return part.defined(); });
    if (complete)
      result.tensors[name] = join(slots, name, source);
    else
      result.incomplete.push_back(name);
  }
  rename_packed_swiglu(result.tensors);
  return result;
}

}  // namespace dinomaly
