#include "dinomaly/model/detector_weights.h"

#include <fmt/ranges.h>

#include <algorithm>
#include <charconv>
#include <nlohmann/json.hpp>
#include <set>
#include <string_view>
#include <system_error>

#include "dinomaly/base/did_you_mean.h"
#include "dinomaly/base/framework.h"
#include "dinomaly/base/json_text.h"
#include "dinomaly/base/numbers.h"
#include "dinomaly/base/sha256.h"
#include "dinomaly/model/quantized_weights.h"
#include "dinomaly/model/whitening.h"
#include "dinomaly/weights/encoder_choice.h"
#include "dinomaly/weights/key_report.h"
#include "tensor/io/printable.h"

namespace dinomaly {
namespace {

using nlohmann::json;

// Dinomaly's bottleneck, and Dinomaly2's.
constexpr std::string_view anchors[] = {"bottleneck.0.fc1.weight", "bottleneck.0.0.weight"};

std::set<std::string> detector_prefixes(const WeightsFile& file) {
  std::set<std::string> prefixes;
  const auto look_at = [&](const std::string& name) {
    for (const std::string_view anchor : anchors) {
      if (!name.ends_with(anchor)) continue;
      const std::string prefix = name.substr(0, name.size() - anchor.size());
      if (prefix.empty() || prefix.ends_with('.')) prefixes.insert(prefix);
    }
  };
  for (const auto& [name, tensor] : file.tensors) look_at(name);
  for (const auto& [name, what] : file.skipped) look_at(name);
  return prefixes;
}

// Counts the blocks that exist, so that a stray high index cannot make the model deep.
int64_t count_decoder_blocks(const std::map<std::string, Tensor>& trained) {
  constexpr std::string_view start = "decoder.";
  std::set<std::string_view> indices;
  for (const auto& [name, tensor] : trained) {
    if (!name.starts_with(start)) continue;
    const std::string_view rest = std::string_view(name).substr(start.size());
    indices.insert(rest.substr(0, rest.find('.')));
  }
  return static_cast<int64_t>(indices.size());
}

void split(const WeightsFile& file, const std::string& prefix, DetectorWeights& result) {
  for (const auto& [name, tensor] : file.tensors) {
    if (!name.starts_with(prefix)) continue;
    const std::string own = name.substr(prefix.size());
    if (own.starts_with("encoder."))
      result.encoder[own.substr(std::string_view("encoder.").size())] = tensor;
    else if (own.starts_with("bottleneck.") || own.starts_with("decoder.") || own.starts_with("whitening."))
      result.trained[own] = tensor;
    else if (own != "gaussian_blur.kernel")  // anomalib's, computed from the options here
      result.extra.push_back(name);
  }
  for (const auto& [name, what] : file.skipped) {
    if (!name.starts_with(prefix)) continue;
    const std::string own = name.substr(prefix.size());
    if (own.starts_with("bottleneck.") || own.starts_with("decoder.") || own.starts_with("whitening."))
      check_readable(file.skipped, name, file.source());
    if (own.starts_with("encoder."))
      result.skipped_encoder[own.substr(std::string_view("encoder.").size())] = what;
  }
}

// Options are checked by rules that know no file.
template <class Function>
void named_in(const std::string& source, const Function& function) {
  try {
    function();
  } catch (const InputError& error) {
    fail_input("{}: its config: {}", source, error.what());
  }
}

// What says how the file is to be read may be neither misspelt nor lost: other options would take its place.
void check_saved_as(const WeightsFile& file, const std::string& saved_as) {
  const std::string name = own_kind;
  const std::vector<std::string> known{name, name + "-" + name_of(DetectorKind::authors),
                                       name + "-" + name_of(DetectorKind::anomalib)};
  const bool ours = file.metadata.contains("config") && file.metadata.contains("heads");
  check_input(!saved_as.empty() || !ours, "{}: its metadata has no 'kind'", file.source());
  check_input(saved_as.empty() || std::find(known.begin(), known.end(), saved_as) != known.end(),
              "{}: the 'kind' of its metadata is '{}', none of {}{}", file.source(), printable(saved_as),
              fmt::join(known, ", "), did_you_mean(saved_as, known));
}

void read_own(const WeightsFile& file, DetectorWeights& result) {
  const auto text = [&](const char* key) {
    const auto found = file.metadata.find(key);
    check_input(found != file.metadata.end(), "{}: its metadata has no '{}'", file.source(), key);
    return found->second;
  };
  const json config = parse_json(text("config"), file.source() + ": the 'config' of its metadata");
  check_input(config.is_object() && config.contains("preset") && config["preset"].is_string(),
              "{}: the 'config' of its metadata is not a JSON object with a preset", file.source());
  named_in(file.source(),
           [&] { result.config = Config::with_preset(parse_preset(config["preset"].get<std::string>())); });
  result.config.update_from_json(with_old_options(config), file.source());
  const std::string heads = text("heads");
  const auto [end, error] = std::from_chars(heads.data(), heads.data() + heads.size(), result.heads);
  check_input(error == std::errc() && end == heads.data() + heads.size() && result.heads > 0,
              "{}: the 'heads' of its metadata is '{}'", file.source(), printable(heads));
}

// anomalib's names for what a Lightning checkpoint says; null is its way of saying "the default".
void apply_hyper_parameters(const json& hyper, const std::string& source, Config& config) {
  static const std::map<std::string, std::string> names{{"bottleneck_dropout", "dropout"},
                                                        {"target_layers", "target_blocks"},
                                                        {"fuse_layer_encoder", "encoder_groups"},
                                                        {"fuse_layer_decoder", "decoder_groups"},
                                                        {"remove_class_token", "remove_class_token"},
                                                        {"use_context_recentering", "context_recentering"}};
  json values = json::object();
  for (const auto& [theirs, ours] : names) {
    if (hyper.is_object() && hyper.contains(theirs) && !hyper[theirs].is_null()) values[ours] = hyper[theirs];
  }
  config.update_from_json(values, source + ": hyper_parameters");
}

// Of the patch embedding's weights; 3 where there are none.
int64_t input_channels(const std::map<std::string, Tensor>& encoder) {
  for (const auto& [name, tensor] : encoder) {
    const std::string plain = without_wrappers(name);
    for (const std::string_view anchor : encoder_anchors) {
      if (plain.ends_with(anchor) && tensor.rank() == 4) return tensor.size(1);
    }
  }
  return 3;
}

void read_foreign(const WeightsFile& file, DetectorWeights& result) {
  const auto narrow = result.trained.find("bottleneck.0.0.weight");
  const bool second = narrow != result.trained.end();
  const bool bottleneck_bias =
      result.trained.contains(second ? "bottleneck.0.0.bias" : "bottleneck.0.fc1.bias");
  const Preset first = bottleneck_bias ? Preset::paper : Preset::anomalib;
  result.config = Config::with_preset(second ? Preset::dinomaly2 : first);
  if (second && narrow->second.rank() == 2) result.config.bottleneck_width = narrow->second.size(0);
  result.config.image.pixels = {.exif_orientation = false,  // neither implementation looks
                                .bit_depth = 16,
                                .channels = input_channels(result.encoder)};
  result.config.bottleneck_bias = bottleneck_bias;
  result.config.decoder_mlp_bias = result.trained.contains("decoder.0.mlp.fc1.bias");
  result.config.decoder_depth = count_decoder_blocks(result.trained);
  if (file.hyper_parameters) apply_hyper_parameters(*file.hyper_parameters, file.source(), result.config);
}

}  // namespace

bool is_training_state(const WeightsFile& file) {
  const auto kind = file.metadata.find("kind");
  return kind != file.metadata.end() && kind->second == training_state_kind;
}

bool holds_detector(const WeightsFile& file) { return !detector_prefixes(file).empty(); }

DetectorWeights read_detector(const WeightsFile& file) {
  check_not_quantized(file);
  check_input(!is_training_state(file),
              "{}: the checkpoint of a training run, not a finished model; train --resume continues it",
              file.source());
  const std::set<std::string> prefixes = detector_prefixes(file);
  check_input(!prefixes.empty(), "{}: no trained Dinomaly in it (no {} or {} among {})", file.source(),
              anchors[0], anchors[1], counted(file.tensors.size(), "tensor"));
  check_input(prefixes.size() == 1, "{}: {} models in it, under '{}' and '{}'", file.source(),
              prefixes.size(), printable(*prefixes.begin()), printable(*prefixes.rbegin()));
  DetectorWeights result;
  split(file, *prefixes.begin(), result);
  const std::string prefix = *prefixes.begin();
  const auto found = file.metadata.find("kind");
  const std::string saved_as = found == file.metadata.end() ? "" : found->second;
  check_saved_as(file, saved_as);
  result.kind = prefix.empty() ? DetectorKind::authors : DetectorKind::anomalib;
  if (saved_as == own_kind) result.kind = DetectorKind::own;
  if (saved_as.starts_with(own_kind))
    read_own(file, result);
  else
    read_foreign(file, result);
  return result;
}

EncoderWeights load_encoder(const WeightsFile& file, int64_t heads) {
  check_not_quantized(file);
  if (heads <= 0 && holds_detector(file)) {
    const int64_t saved = read_detector(file).heads;
    if (saved > 0) heads = saved;
  }
  return load_encoder(file.tensors, file.source(), heads, file.skipped);
}

void check_trained(const DetectorWeights& weights, int64_t width, const std::string& source) {
  const Config& config = weights.config;
  NamedShapes expected;
  const auto add_linear = [&](const std::string& name, int64_t in, int64_t out, bool bias) {
    expected.emplace_back(name + ".weight", Shape{out, in});
    if (bias) expected.emplace_back(name + ".bias", Shape{out});
  };
  const auto add_norm = [&](const std::string& name) {
    expected.emplace_back(name + ".weight", Shape{width});
    expected.emplace_back(name + ".bias", Shape{width});
  };
  const int64_t blocks = count_decoder_blocks(weights.trained);
  check_input(config.decoder_depth == blocks, "{}: decoder_depth is {}, but the file has {}", source,
              config.decoder_depth, counted(blocks, "decoder block"));
  const int64_t narrow = config.bottleneck_width;
  if (narrow > 0) add_linear("bottleneck.0.0", width, narrow, config.bottleneck_bias);
  add_linear(narrow > 0 ? "bottleneck.1.0" : "bottleneck.0.fc1", narrow > 0 ? narrow : width, 4 * width,
             config.bottleneck_bias);
  add_linear(narrow > 0 ? "bottleneck.1.3" : "bottleneck.0.fc2", 4 * width, width, config.bottleneck_bias);
  for (int64_t block = 0; block < config.decoder_depth; ++block) {
    const std::string prefix = fmt::format("decoder.{}.", block);
    add_norm(prefix + "norm1");
    add_linear(prefix + "attn.qkv", width, 3 * width, true);
    add_linear(prefix + "attn.proj", width, width, true);
    add_norm(prefix + "norm2");
    add_linear(prefix + "mlp.fc1", width, 4 * width, config.decoder_mlp_bias);
    add_linear(prefix + "mlp.fc2", 4 * width, width, config.decoder_mlp_bias);
  }
  for (size_t part = 0; config.feature_whitening && part <= config.encoder_groups.size(); ++part) {
    const std::string name = "whitening." + FeatureWhitening::name_of(part);
    expected.emplace_back(name + ".mean", Shape{width});
    expected.emplace_back(name + ".matrix", Shape{width, width});
  }
  check_tensors(weights.trained, expected, source,
                fmt::format("not a whole Dinomaly ({} preset) for an encoder of width {}",
                            name_of(config.preset), width),
                {}, weights.extra);
}

void complete_config(DetectorWeights& weights, const EncoderConfig& encoder, const std::string& source) {
  named_in(source, [&] { weights.config.complete(encoder.depth, encoder.patch, encoder.channels); });
}

std::string judging_hash(const std::map<std::string, std::string>& metadata) {
  return sha256_of(metadata.at("config") + "\n" + metadata.at("heads")).substr(0, 16);
}

std::optional<Calibration> stored_calibration(const std::map<std::string, std::string>& metadata,
                                              const std::string& source) {
  const auto text = metadata.find("calibration"), hash = metadata.find("calibration_of");
  if (text == metadata.end()) return std::nullopt;
  Calibration result = Calibration::from_text(text->second, source);
  const bool told = hash != metadata.end() && metadata.contains("config") && metadata.contains("heads");
  check_input(!told || hash->second == judging_hash(metadata),
              "{}: its thresholds were found with another 'config' or 'heads' than its metadata has now",
              source);
  return result;
}

void check_channels(const DetectorWeights& weights, int64_t channels, const std::string& source) {
  const int64_t stated = weights.config.image.pixels.channels;
  check_input(stated == channels, "{}: patch_embed.proj.weight takes {}, but the options say {}", source,
              counted(channels, "channel"), stated);
}

std::string name_of(DetectorKind kind) {
  if (kind == DetectorKind::own) return "dinomaly.cpp";
  return kind == DetectorKind::authors ? "authors" : "anomalib";
}

}  // namespace dinomaly
