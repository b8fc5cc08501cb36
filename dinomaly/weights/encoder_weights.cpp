#include "dinomaly/weights/encoder_weights.h"

#include <fmt/ranges.h>

#include <algorithm>
#include <set>
#include <string_view>

#include "dinomaly/base/numbers.h"
#include "dinomaly/image/image.h"
#include "dinomaly/weights/encoder_choice.h"
#include "dinomaly/weights/encoder_names.h"
#include "dinomaly/weights/encoder_naming.h"
#include "dinomaly/weights/key_report.h"
#include "dinomaly/weights/position_table.h"
#include "dinomaly/weights/rope_periods.h"
#include "dinomaly/weights/rotary_weights.h"
#include "tensor/error.h"
#include "tensor/io/printable.h"

namespace dinomaly {
namespace {

using Tensors = std::map<std::string, Tensor>;
using Skipped = std::map<std::string, std::string>;

// What the file calls a tensor; of one that it splits, those parts that `file` lacks.
std::string own_name(const NamedEncoder& encoder, const std::string& name, const Tensors& file) {
  std::vector<std::string> names = names_in(encoder.naming, name, encoder.rotary);
  if (names.size() > 1) std::erase_if(names, [&](const std::string& part) { return file.contains(part); });
  return names.empty() ? name : fmt::format("{}", fmt::join(names, ", "));
}

// The size of one axis of a tensor from which the configuration is read.
int64_t size_of_axis(const NamedEncoder& encoder, const std::string& name, int rank, int axis,
                     const std::string& source) {
  const auto found = encoder.tensors.find(name);
  const std::string own = own_name(encoder, name, {});
  check_input(found != encoder.tensors.end(), "{}: no '{}' in the encoder", source, own);
  check_input(found->second.rank() == rank, "{}: {} has shape {}, expected {} axes", source, own,
              found->second.shape(), rank);
  check_input(found->second.numel() > 0, "{}: {} is empty", source, own);
  return found->second.size(axis);
}

// Counts the blocks that exist, so that a stray high index cannot make the model deep.
int64_t count_blocks(const Tensors& tensors) {
  std::set<std::string_view> indices;
  for (const auto& [name, tensor] : tensors) {
    if (!name.starts_with("blocks.")) continue;
    const size_t begin = std::string_view("blocks.").size();
    indices.insert(std::string_view(name).substr(begin, name.find('.', begin) - begin));
  }
  return static_cast<int64_t>(indices.size());
}

int64_t heads_of(const EncoderConfig& config, int64_t given, int64_t head_width, const std::string& source) {
  check_input(given >= any_heads, "{}: --heads: {} is negative", source, given);
  int64_t heads = given;
  if (given <= 0 && config.rotary) {
    heads = head_width > 0 && config.width % head_width == 0 ? config.width / head_width
                                                             : usual_rotary_heads(config.width);
  } else if (given <= 0) {
    heads = config.width % 64 == 0 ? config.width / 64 : given == any_heads ? 1 : 0;
  }
  check_input(heads > 0, "{}: --heads must be given: a width of {} is not a multiple of 64", source,
              config.width);
  check_input(config.width % heads == 0, "{}: {} not divide a width of {}", source,
              counted(heads, "head does", "heads do"), config.width);
  return heads;
}

// Whether any block has a bias of queries, keys or values, whole or in part: the others must have it then.
bool has_any_bias(const NamedEncoder& encoder) {
  const auto is_bias = [](const std::string& name) { return name.ends_with(".attn.qkv.bias"); };
  return std::any_of(encoder.incomplete.begin(), encoder.incomplete.end(), is_bias) ||
         std::any_of(encoder.tensors.begin(), encoder.tensors.end(),
                     [&](const auto& entry) { return is_bias(entry.first); });
}

EncoderConfig read_config(NamedEncoder& encoder, int64_t heads, const std::string& source) {
  Tensors& tensors = encoder.tensors;
  const auto axis = [&](const std::string& name, int rank, int index) {
    return size_of_axis(encoder, name, rank, index, source);
  };
  EncoderConfig config;
  config.rotary = encoder.rotary;
  config.width = axis("patch_embed.proj.weight", 4, 0);
  config.patch = axis("patch_embed.proj.weight", 4, 2);
  config.channels = axis("patch_embed.proj.weight", 4, 1);
  check_input(config.channels <= most_channels,
              "{}: patch_embed.proj.weight takes images of {} channels; only 1 to {} are possible", source,
              config.channels, most_channels);
  const std::string registers = config.rotary ? "storage_tokens" : "register_tokens";
  if (tensors.contains(registers)) config.registers = axis(registers, 3, 1);
  config.depth = count_blocks(tensors);
  check_input(config.depth > 0, "{}: the encoder has no blocks", source);
  if (config.rotary) {
    config.cls_in_position_table = false;
    config.norm_eps = 1e-5;
    settle_key_biases(tensors, config.depth, !has_any_bias(encoder), source);
  } else {
    axis("pos_embed", 3, 1);
    read_position_table(tensors, encoder.cls_in_table, config, source);
  }
  config.layer_scale = tensors.contains("blocks.0.ls1.gamma");
  if (tensors.contains("blocks.0.mlp.w12.weight")) config.ffn = EncoderConfig::Ffn::swiglu_fused;
  const bool swiglu = config.ffn == EncoderConfig::Ffn::swiglu_fused;
  config.hidden = axis(swiglu ? "blocks.0.mlp.w3.weight" : "blocks.0.mlp.fc2.weight", 2, 1);
  const int64_t head_width = config.rotary ? rotary_head_width(tensors, source) : 0;
  config.heads = heads_of(config, heads, head_width, source);
  if (!config.rotary) return config;
  const int64_t width = config.width / config.heads;
  check_input(width % 4 == 0, "{}: {} {} wide, but rotary positions need a multiple of 4", source,
              counted(config.heads, "head is", "heads are"), width);
  if (head_width == 0) tensors["rope_embed.periods"] = rope_periods(width);
  return config;
}

NamedShapes expected_shapes(const EncoderConfig& config) {
  const int64_t width = config.width, patches = config.grid_h * config.grid_w;
  const bool swiglu = config.ffn == EncoderConfig::Ffn::swiglu_fused;
  NamedShapes result;
  const auto add_linear = [&](const std::string& name, int64_t in, int64_t out) {
    result.emplace_back(name + ".weight", Shape{out, in});
    result.emplace_back(name + ".bias", Shape{out});
  };
  const auto add_norm = [&](const std::string& name) {
    result.emplace_back(name + ".weight", Shape{width});
    result.emplace_back(name + ".bias", Shape{width});
  };
  result.emplace_back("cls_token", Shape{1, 1, width});
  if (config.rotary)
    result.emplace_back("rope_embed.periods", Shape{width / config.heads / 4});
  else
    result.emplace_back("pos_embed", Shape{1, patches + config.cls_in_position_table, width});
  const char* registers = config.rotary ? "storage_tokens" : "register_tokens";
  if (config.registers > 0) result.emplace_back(registers, Shape{1, config.registers, width});
  result.emplace_back("patch_embed.proj.weight", Shape{width, config.channels, config.patch, config.patch});
  result.emplace_back("patch_embed.proj.bias", Shape{width});
  for (int64_t block = 0; block < config.depth; ++block) {
    const std::string prefix = fmt::format("blocks.{}.", block);
    add_norm(prefix + "norm1");
    add_linear(prefix + "attn.qkv", width, 3 * width);
    add_linear(prefix + "attn.proj", width, width);
    if (config.layer_scale) result.emplace_back(prefix + "ls1.gamma", Shape{width});
    add_norm(prefix + "norm2");
    add_linear(prefix + (swiglu ? "mlp.w12" : "mlp.fc1"), width, swiglu ? 2 * config.hidden : config.hidden);
    add_linear(prefix + (swiglu ? "mlp.w3" : "mlp.fc2"), config.hidden, width);
    if (config.layer_scale) result.emplace_back(prefix + "ls2.gamma", Shape{width});
  }
  return result;
}

EncoderWeights load_named(const Tensors& tensors, const Skipped& skipped, const std::string& source,
                          int64_t heads) {
  NamedEncoder encoder = to_meta_names(tensors, skipped, source);
  EncoderWeights result;
  result.config = read_config(encoder, heads, source);
  const NamedShapes expected = expected_shapes(result.config);
  check_tensors(encoder.tensors, expected, source, "not a whole encoder", encoder.incomplete,
                encoder.unexpected,
                [&](const std::string& name) { return own_name(encoder, name, tensors); });
  for (const auto& [name, shape] : expected) {
    const Tensor& tensor = encoder.tensors.at(name);
    result.tensors.emplace_back(name, name == "rope_embed.periods" ? tensor.to(Dtype::f32) : tensor);
  }
  for (const auto& [name, tensor] : encoder.unused) {
    const Shape shape = name == "mask_token" ? Shape{1, result.config.width} : Shape{result.config.width};
    const bool fits = tensor.shape() == shape || (name == "mask_token" && tensor.numel() == shape[1]);
    if (fits && is_floating(tensor.dtype())) result.unused[name] = tensor.reshape(shape);
  }
  check_finite({result.unused.begin(), result.unused.end()}, source);
  result.not_used = encoder.heads + static_cast<int64_t>(encoder.unused.size());
  return result;
}

// The entries whose names begin with `prefix`, without wrappers and prefix.
template <class Value>
std::map<std::string, Value> part_under(const std::string& prefix, const std::map<std::string, Value>& all,
                                        const std::string& source) {
  std::map<std::string, Value> part;
  for (const auto& [name, value] : all) {
    const std::string plain = without_wrappers(name);
    if (!plain.starts_with(prefix)) continue;
    check_input(part.emplace(plain.substr(prefix.size()), value).second,
                "{}: two tensors are named '{}' apart from wrappers", source, printable(plain));
  }
  return part;
}

}  // namespace

EncoderWeights load_encoder(const Tensors& tensors, const std::string& source, int64_t heads,
                            const Skipped& skipped) {
  std::vector<std::string> names;
  for (const auto& [name, tensor] : tensors) names.push_back(without_wrappers(name));
  for (const auto& [name, what] : skipped) names.push_back(without_wrappers(name));
  const EncoderChoice choice = choose_encoder(names, source);
  const Tensors encoder = part_under(choice.prefix, tensors, source);
  EncoderWeights result = load_named(encoder, part_under(choice.prefix, skipped, source), source, heads);
  result.prefix = choice.prefix;
  result.others = choice.others;
  result.not_used += static_cast<int64_t>(tensors.size() - encoder.size());
  return result;
}

std::string describe_choice(const EncoderWeights& weights, const std::string& source) {
  if (weights.prefix.empty() || weights.not_used == 0) return "";
  std::string others;
  for (const std::string& other : weights.others)
    others += fmt::format("{}'{}'", others.empty() ? ", not " : ", ", printable(other));
  return fmt::format("{}: the encoder is what is under '{}'{}; {} not used", source,
                     printable(weights.prefix), others,
                     counted(weights.not_used, "other tensor is", "other tensors are"));
}

}  // namespace dinomaly
