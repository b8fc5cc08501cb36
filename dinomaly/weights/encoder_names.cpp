#include "dinomaly/weights/encoder_names.h"

#include <algorithm>
#include <optional>
#include <span>
#include <string_view>

#include "dinomaly/base/framework.h"
#include "dinomaly/weights/weights_file.h"
#include "tensor/io/printable.h"
#include "tensor/ops.h"

namespace dinomaly {
namespace {

// The libraries that write a name: a set of bits.
enum Libraries : unsigned { meta = 1, timm = 2, transformers = 4, meta_or_timm = 3, all = 7 };

// Where a tensor of a file goes: part `part` of `parts`, joined along axis 0.
struct Place {
  std::string name;
  size_t part = 0, parts = 1;
  unsigned libraries = all;
};

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
                                 {"layernorm", "norm"},
                                 {"mask_token", "mask_token"},
                                 {"embeddings.mask_token", "mask_token"}};
// The beginnings of names of what is dropped: heads, and norms of DINOv3's training alone.
constexpr std::string_view dropped[] = {"fc_norm.",    "head.",           "head_dist.",
                                        "classifier.", "dino_head.",      "ibot_head.",
                                        "cls_norm.",   "local_cls_norm.", "projectors."};
// Only DINOv3's libraries write these without a position table beside them.
constexpr std::string_view rotary_names[] = {"storage_tokens", "reg_token", "rope_embed.periods",
                                             "embeddings.register_tokens",
                                             "embeddings.patch_embeddings.weight"};

std::optional<Place> find_place(std::span<const Rule> rules, std::string_view name) {
  for (const Rule& rule : rules) {
    if (rule.theirs == name) return Place{std::string(rule.meta), rule.part, rule.parts, rule.libraries};
  }
  std::string_view suffix;
  for (const std::string_view candidate : {".weight", ".bias"}) {
    if (name.ends_with(candidate)) suffix = candidate;
  }
  name.remove_suffix(suffix.size());
  for (const Rule& rule : rules) {
    if (!suffix.empty() && rule.theirs == name)
      return Place{fmt::format("{}{}", rule.meta, suffix), rule.part, rule.parts, rule.libraries};
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
    place->libraries &= blocks == "blocks." ? meta_or_timm : transformers;
    return place;
  }
  return find_place(top_rules, name);
}

bool is_dropped(std::string_view name) {
  return std::any_of(std::begin(dropped), std::end(dropped),
                     [&](std::string_view start) { return name.starts_with(start); });
}

// Notices a file that mixes the names of two libraries: parts of two encoders would make one that is neither.
class OneLibrary {
 public:
  explicit OneLibrary(const std::string& source) : source_(source) {}
  void add(const std::string& name, unsigned libraries) {
    for (const auto& [other, theirs] : first_) {
      check_input((theirs & libraries) != 0,
                  "{}: names of two libraries in one encoder: '{}' is {}, but '{}' is {}", source_,
                  printable(other), owner_of(theirs), printable(name), owner_of(libraries));
    }
    const auto same = [&](const auto& entry) { return entry.second == libraries; };
    if (std::none_of(first_.begin(), first_.end(), same)) first_.emplace_back(name, libraries);
  }

 private:
  static std::string_view owner_of(unsigned libraries) {
    if (libraries == meta_or_timm) return "Meta's or timm's";
    if (libraries == meta) return "Meta's";
    return libraries == timm ? "timm's" : "transformers'";
  }
  const std::string& source_;
  std::vector<std::pair<std::string, unsigned>> first_;  // the first name of each set of libraries
};

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

// The tensors of a name, and in which part of it each goes: an undefined one is absent.
using Parts = std::map<std::string, std::vector<Tensor>>;

void rename_parts(Parts& parts, std::string_view from, std::string_view to, size_t part) {
  Parts renamed;
  for (auto& [name, slots] : parts) {
    const size_t at = name.find(from);
    if (at == std::string::npos) {
      renamed[name] = slots;
    } else {
      std::string other = name;
      renamed[other.replace(at, from.size(), to)] = {slots[part]};
    }
  }
  parts = std::move(renamed);
}

// Two names mean one thing in a SwiGLU and another in a GELU network: transformers' up_proj and down_proj are fc1 and
// fc2 where no gate_proj is; timm's fc2 is w3 beside fc1_g.
void tell_networks_apart(Parts& parts) {
  bool gates = false, ups_alone = false, fc1 = false;
  for (const auto& [name, slots] : parts) {
    if (name.find(".mlp.w12.") != std::string::npos) {
      gates |= slots[0].defined();
      ups_alone |= slots.size() == 2 && !slots[0].defined();
    }
    fc1 |= name.find(".mlp.fc1.") != std::string::npos;
  }
  if (ups_alone && !gates && !fc1) {
    rename_parts(parts, ".mlp.w12.", ".mlp.fc1.", 1);
    rename_parts(parts, ".mlp.w3.", ".mlp.fc2.", 0);
  } else if (gates && !fc1) {
    rename_parts(parts, ".mlp.fc2.", ".mlp.w3.", 0);
  }
}

// What DINOv3 writes under other names, or not at all: register tokens are its storage tokens, keys have no bias.
void settle_rotary(Parts& parts) {
  if (const auto registers = parts.find("register_tokens"); registers != parts.end()) {
    parts["storage_tokens"] = registers->second;
    parts.erase(registers);
  }
  for (auto& [name, slots] : parts) {
    if (!name.ends_with(".attn.qkv.bias") || slots.size() != 3) continue;
    if (slots[0].defined() && !slots[1].defined())
      slots[1] = Tensor::zeros(slots[0].shape(), slots[0].dtype());
  }
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
  Parts parts;
  OneLibrary library(source);
  bool rotary = false;
  for (const auto& [name, tensor] : tensors) {
    const std::optional<Place> place = place_of(name);
    result.cls_in_table |= name.starts_with("embeddings.") || name == "mask_token";
    rotary |= std::find(std::begin(rotary_names), std::end(rotary_names), name) != std::end(rotary_names);
    if (!place) {
      if (const std::optional<Place> unused = find_place(unused_rules, name))
        result.unused[unused->name] = tensor;
      else if (is_dropped(name))
        ++result.heads;
      else
        result.unexpected.push_back(name);
      continue;
    }
    library.add(name, place->libraries);
    std::vector<Tensor>& slots = parts[place->name];
    if (slots.empty()) slots.resize(place->parts);
    check_input(slots.size() == place->parts && !slots[place->part].defined(),
                "{}: several tensors map to {}", source, place->name);
    slots[place->part] = tensor;
  }
  tell_networks_apart(parts);
  result.rotary = rotary && !parts.contains("pos_embed");
  if (result.rotary) settle_rotary(parts);
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
