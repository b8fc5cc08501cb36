#include "dinomaly/weights/encoder_names.h"

#include <algorithm>
#include <optional>
#include <string_view>

#include "dinomaly/base/framework.h"
#include "dinomaly/weights/encoder_places.h"
#include "dinomaly/weights/weights_file.h"
#include "tensor/io/printable.h"
#include "tensor/ops.h"

namespace dinomaly {
namespace {

using enum Place::Libraries;

// Only DINOv3's files have these.
constexpr std::string_view rotary_names[] = {"storage_tokens", "rope_embed.periods",
                                             "embeddings.patch_embeddings.weight"};

std::optional<Place> place_or_unused(std::string_view name) {
  const std::optional<Place> place = place_of(name);
  return place ? place : place_of_unused(name);
}

// What a name stands for, in whichever block.
std::string role_of(const Place& place) {
  const size_t index = std::string_view("blocks.").size();
  const bool in_block = place.name.starts_with("blocks.");
  return fmt::format("{}/{}", in_block ? place.name.substr(place.name.find('.', index)) : place.name,
                     place.part);
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
  Naming naming() const {
    for (const auto& [name, libraries] : first_) {
      if (libraries == timm) return Naming::timm;
      if (libraries == transformers) return Naming::transformers;
    }
    return Naming::meta;
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

// The library that wrote the file. One that mixes the names of two, or two spellings of one, is refused.
Naming naming_of(const std::map<std::string, Tensor>& tensors, const std::string& source) {
  OneLibrary library(source);
  std::map<std::string, std::pair<std::string, std::string>> first;  // the name and spelling of each role
  for (const auto& [name, tensor] : tensors) {
    if (const auto place = place_or_unused(name)) library.add(name, place->libraries);
  }
  for (const auto& [name, tensor] : tensors) {
    const auto place = place_or_unused(name);
    if (!place) continue;
    const auto known = first.emplace(role_of(*place), std::pair(name, place->spelling)).first;
    const auto& [other, spelling] = known->second;
    check_input(spelling == place->spelling, "{}: two spellings in one encoder: '{}' and '{}'", source,
                printable(other), printable(name));
  }
  return library.naming();
}

// Some tensor that only DINOv3's files have; empty if there is none. timm's DINOv3 has registers as its DINOv2 has, but
// other names beside them, and no qkv.bias.
std::string name_of_rotary(const std::map<std::string, Tensor>& tensors) {
  for (const std::string_view name : rotary_names) {
    if (tensors.contains(std::string(name))) return std::string(name);
  }
  bool second = tensors.contains("pos_embed");
  for (const auto& [name, tensor] : tensors) {
    const bool of_timm =
        name.ends_with(".gamma_1") || name.ends_with(".attn.q_bias") || name.ends_with(".mlp.fc1_g.weight");
    if (name.ends_with(".attn.qkv.bias_mask") || (of_timm && tensors.contains("reg_token"))) return name;
    second |= name.ends_with(".attn.qkv.bias") || name.ends_with(".ls1.gamma");
  }
  return tensors.contains("reg_token") && !second ? "reg_token" : "";
}

// Where patches are: in a table (DINOv2), or in the rotation of queries and keys (DINOv3).
bool has_rotary_positions(const std::map<std::string, Tensor>& tensors, Naming naming,
                          const std::string& source) {
  const bool in_transformers = naming == Naming::transformers;
  const std::string table = in_transformers ? "embeddings.position_embeddings" : "pos_embed";
  const std::string rotary = name_of_rotary(tensors);
  const bool has_table = tensors.contains(table);
  check_input(rotary.empty() || !has_table,
              "{}: '{}', which only DINOv3 has, beside '{}', which DINOv3 has not", source, printable(rotary),
              table);
  const bool lacks_registers = naming == Naming::timm && !tensors.contains("reg_token");
  check_input(!rotary.empty() || has_table, "{}: no '{}' in the encoder{}", source, table,
              lacks_registers ? ", as DINOv2 has, nor 'reg_token', as DINOv3 has" : "");
  return !rotary.empty();
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
  std::map<std::string, std::string> first;  // of the names that stand for one
  result.naming = naming_of(tensors, source);
  result.rotary = has_rotary_positions(tensors, result.naming, source);
  for (const auto& [name, tensor] : tensors) {
    const std::optional<Place> place = place_of(name);
    result.cls_in_table |= name.starts_with("embeddings.") || name == "mask_token";
    if (!place) {
      if (const std::optional<Place> unused = place_of_unused(name))
        result.unused[unused->name] = tensor;
      else if (is_dropped(name))
        ++result.heads;
      else
        result.unexpected.push_back(name);
      continue;
    }
    const std::string& other = first.emplace(place->name, name).first->second;
    std::vector<Tensor>& slots = parts[place->name];
    if (slots.empty()) slots.resize(place->parts);
    check_input(slots.size() == place->parts && !slots[place->part].defined(),
                "{}: '{}' and '{}' both stand for {}", source, printable(other), printable(name),
                place->name);
    slots[place->part] = tensor;
  }
  tell_networks_apart(parts);
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
