#include "dinomaly/model/config.h"

#include <cmath>
#include <map>
#include <nlohmann/json.hpp>
#include <numeric>
#include <set>

#include "dinomaly/base/did_you_mean.h"

namespace dinomaly {

using nlohmann::json;

namespace {

// The one list of fields: calls visit(name, field) for each but the preset.
template <class ConfigType, class Visitor>
void for_each_field(ConfigType& c, Visitor visit) {
  visit("target_blocks", c.target_blocks);
  visit("remove_class_token", c.remove_class_token);
  visit("recentering", c.recentering);
  visit("dropout", c.dropout);
  visit("bottleneck_width", c.bottleneck_width);
  visit("bottleneck_bias", c.bottleneck_bias);
  visit("decoder_mlp_bias", c.decoder_mlp_bias);
  visit("decoder_depth", c.decoder_depth);
  visit("decoder_norm_eps", c.decoder_norm_eps);
  visit("linear_attention_eps", c.linear_attention_eps);
  visit("init_std", c.init_std);
  visit("init_cut", c.init_cut);
  visit("encoder_groups", c.encoder_groups);
  visit("decoder_groups", c.decoder_groups);
  visit("mining_share", c.mining_share);
  visit("mining_steps", c.mining_steps);
  visit("mining_factor", c.mining_factor);
  visit("iterations", c.iterations);
  visit("batch", c.batch);
  visit("seed", c.seed);
  visit("learning_rate", c.learning_rate);
  visit("final_learning_rate", c.final_learning_rate);
  visit("lr_decay_ratio", c.lr_decay_ratio);
  visit("bottleneck_lr_factor", c.bottleneck_lr_factor);
  visit("warmup_steps", c.warmup_steps);
  visit("beta1", c.beta1);
  visit("beta2", c.beta2);
  visit("adam_eps", c.adam_eps);
  visit("weight_decay", c.weight_decay);
  visit("clip_norm", c.clip_norm);
  visit("amsgrad", c.amsgrad);
  visit("skip_not_finite", c.skip_not_finite);
  visit("resize_h", c.image.resize_h);
  visit("resize_w", c.image.resize_w);
  visit("crop_h", c.image.crop_h);
  visit("crop_w", c.image.crop_w);
  visit("mean", c.image.mean);
  visit("std", c.image.std);
  visit("with_depth", c.with_depth);
  visit("exif_orientation", c.image.pixels.exif_orientation);
  visit("bit_depth", c.image.pixels.bit_depth);
  visit("map_size", c.map_size);
  visit("blur_size", c.blur_size);
  visit("blur_sigma", c.blur_sigma);
  visit("blur_reflects", c.blur_reflects);
  visit("score_ratio", c.score_ratio);
}

void check_groups(const char* name, const std::vector<std::vector<int64_t>>& groups, int64_t count) {
  check_input(!groups.empty(), "{}: there must be at least one group", name);
  for (const auto& group : groups) {
    check_input(!group.empty(), "{}: a group is empty", name);
    for (int64_t index : group) {
      check_input(index >= 0 && index < count, "{}: index {} is not in [0, {})", name, index, count);
    }
  }
}

std::vector<std::vector<int64_t>> halves(int64_t count) {
  std::vector<std::vector<int64_t>> groups(count > 1 ? 2 : 1);
  for (int64_t i = 0; i < count; ++i) groups[count > 1 ? static_cast<size_t>(2 * i / count) : 0].push_back(i);
  return groups;
}

// The published ones; otherwise the eight in the middle.
std::vector<int64_t> default_targets(int64_t depth) {
  if (depth == 32) return {3, 9, 12, 15, 18, 21, 24, 27};
  std::vector<int64_t> blocks;
  const int64_t count = std::min<int64_t>(depth, 8);
  const int64_t step = depth == 24 ? 2 : 1;
  const int64_t first = depth == 24 ? 4 : (depth - count) / 2;
  for (int64_t i = 0; i < count; ++i) blocks.push_back(first + i * step);
  return blocks;
}

// The sizes that an image has where none is given: 28 x 28 patches, of DINOv2 (14 pixels) as of DINOv3 (16).
void complete_sizes(ImageConfig& image, int64_t patch) {
  for (int64_t* resize : {&image.resize_h, &image.resize_w})
    if (*resize == 0) *resize = patch == 16 ? 512 : 448;
  for (int64_t* crop : {&image.crop_h, &image.crop_w})
    if (*crop == 0) *crop = patch == 16 ? 448 : 392;
}

void check_crop(const ImageConfig& image, int64_t patch) {
  std::string nearest;
  for (const int64_t side : {image.crop_h, image.crop_w}) {
    if (side % patch == 0 || (!nearest.empty() && side == image.crop_h)) continue;
    const int64_t below = side / patch * patch;
    const std::string lower = below > 0 ? fmt::format("{} and ", below) : "";
    nearest += fmt::format("{}nearest to {}: {}{}", nearest.empty() ? "" : ", ", side, lower, below + patch);
  }
  check_input(nearest.empty(), "crop {}x{} is not a multiple of the encoder's patch {} ({})", image.crop_h,
              image.crop_w, patch, nearest);
}

void check_numbers(const Config& c) {
  for_each_field(c, [](const char* name, const auto& field) {
    if constexpr (std::is_same_v<decltype(field), const double&>)
      check_input(std::isfinite(field), "{}: {} is not a number", name, field);
  });
}

void check_optimisation(const Config& c) {
  check_input(c.learning_rate >= 0 && c.final_learning_rate >= 0,
              "learning_rate {} and final_learning_rate {} must not be negative", c.learning_rate,
              c.final_learning_rate);
  const Config defaults;
  if (c.preset == Preset::dinomaly2)
    check_input(c.final_learning_rate == defaults.final_learning_rate,
                "final_learning_rate: the preset dinomaly2 ends at lr_decay_ratio times the learning rate");
  else
    check_input(c.lr_decay_ratio == defaults.lr_decay_ratio,
                "lr_decay_ratio: the preset {} ends at final_learning_rate", name_of(c.preset));
  check_input(c.lr_decay_ratio >= 0 && c.lr_decay_ratio <= 1, "lr_decay_ratio: {} is not in [0, 1]",
              c.lr_decay_ratio);
  check_input(c.bottleneck_lr_factor >= 0, "bottleneck_lr_factor: {} is negative", c.bottleneck_lr_factor);
  check_input(c.warmup_steps >= 0, "warmup_steps: {} is negative", c.warmup_steps);
  check_input(c.beta1 >= 0 && c.beta1 < 1 && c.beta2 >= 0 && c.beta2 < 1,
              "beta1 {} and beta2 {} must be in [0, 1)", c.beta1, c.beta2);
  check_input(c.adam_eps > 0, "adam_eps: {} is not positive", c.adam_eps);
  check_input(c.weight_decay >= 0, "weight_decay: {} is negative", c.weight_decay);
  check_input(c.clip_norm > 0, "clip_norm: {} is not positive", c.clip_norm);
  check_input(c.mining_factor >= 0, "mining_factor: {} is negative", c.mining_factor);
}

// JSON numbers are checked before they are converted: no silent 1.5 -> 1 or -1 -> 2^64 - 1.
void require(bool ok, const std::string& source, const char* name, const char* what) {
  check_input(ok, "{}: option '{}' must be {}", source, name, what);
}
void assign(const json& value, bool& field, const std::string& source, const char* name) {
  require(value.is_boolean(), source, name, "true or false");
  field = value.get<bool>();
}
void assign(const json& value, double& field, const std::string& source, const char* name) {
  require(value.is_number(), source, name, "a number");
  field = value.get<double>();
}
void assign(const json& value, int64_t& field, const std::string& source, const char* name) {
  require(value.is_number_integer() && (!value.is_number_unsigned() || value.get<uint64_t>() <= INT64_MAX),
          source, name, "an integer");
  field = value.get<int64_t>();
}
void assign(const json& value, uint64_t& field, const std::string& source, const char* name) {
  require(value.is_number_unsigned() || (value.is_number_integer() && value.get<int64_t>() >= 0), source,
          name, "a non-negative integer");
  field = value.get<uint64_t>();
}
void assign(const json& value, Recentering& field, const std::string& source, const char* name) {
  for (const Recentering one : {Recentering::none, Recentering::anomalib, Recentering::dinomaly2}) {
    if (value == name_of(one)) {
      field = one;
      return;
    }
  }
  require(false, source, name, "none, anomalib or dinomaly2");
}
void assign(const json& value, std::array<float, 3>& field, const std::string& source, const char* name) {
  require(value.is_array() && value.size() == 3, source, name, "three numbers");
  for (size_t i = 0; i < 3; ++i) {
    require(value[i].is_number(), source, name, "three numbers");
    field[i] = value[i].get<float>();
  }
}
template <class Element>
void assign(const json& value, std::vector<Element>& field, const std::string& source, const char* name) {
  require(value.is_array(), source, name, "a list");
  field.clear();
  for (const json& element : value) assign(element, field.emplace_back(), source, name);
}

json json_of(Recentering field) { return name_of(field); }
template <class Field>
json json_of(const Field& field) {
  return field;
}

// What recentering was called when there was one kind of it.
constexpr const char* older_recentering = "context_recentering";

void assign_older_recentering(const json& values, Recentering& field, const std::string& source) {
  bool older = false;
  assign(values[older_recentering], older, source, older_recentering);
  if (!values.contains("recentering"))
    field = older ? Recentering::anomalib : Recentering::none;
  else
    check_input(!older || field == Recentering::anomalib,
                "{}: context_recentering is the older name of recentering anomalib, but recentering is {}",
                source, name_of(field));
}

}  // namespace

Config Config::with_preset(Preset preset) {
  Config config;
  config.preset = preset;
  if (preset == Preset::anomalib) {
    config.bottleneck_bias = false;
    config.decoder_mlp_bias = false;
    config.adam_eps = 1e-8;
    config.iterations = 5000;
    config.blur_reflects = true;
    config.image.pipeline = ImagePipeline::torchvision;
  }
  if (preset == Preset::dinomaly2) {
    config.recentering = Recentering::dinomaly2;
    config.dropout = 0.4;
    config.bottleneck_width = 256;
    config.linear_attention_eps = 1e-8;
    config.iterations = 40000;
    config.bottleneck_lr_factor = 0.1;
    config.amsgrad = false;
    config.skip_not_finite = true;
  }
  return config;
}

WarmCosineSchedule Config::schedule() const {
  const bool second = preset == Preset::dinomaly2;
  return {.peak = learning_rate,
          .final = second ? lr_decay_ratio * learning_rate : final_learning_rate,
          .warmup_steps = warmup_steps,
          .total_steps = iterations,
          .peak_after = second};
}

void Config::complete(int64_t encoder_depth, int64_t patch) {
  check_numbers(*this);
  if (target_blocks.empty()) target_blocks = default_targets(encoder_depth);
  for (size_t i = 0; i < target_blocks.size(); ++i) {
    check_input(target_blocks[i] >= 0 && target_blocks[i] < encoder_depth,
                "target_blocks: block {} does not exist in an encoder of {} blocks", target_blocks[i],
                encoder_depth);
    check_input(i == 0 || target_blocks[i] > target_blocks[i - 1],
                "target_blocks: must be in increasing order");
  }
  check_input(decoder_depth > 0 && decoder_depth <= 1000, "decoder_depth: {} is not in [1, 1000]",
              decoder_depth);
  if (encoder_groups.empty()) encoder_groups = halves(static_cast<int64_t>(target_blocks.size()));
  if (decoder_groups.empty()) decoder_groups = halves(decoder_depth);
  check_groups("encoder_groups", encoder_groups, static_cast<int64_t>(target_blocks.size()));
  check_groups("decoder_groups", decoder_groups, decoder_depth);
  check_input(encoder_groups.size() == decoder_groups.size(),
              "{} encoder groups do not match {} decoder groups", encoder_groups.size(),
              decoder_groups.size());
  check_input(!remove_class_token || recentering != Recentering::anomalib,
              "recentering anomalib needs the class token: it cannot be combined with remove_class_token");
  check_input(bottleneck_width >= 0 && bottleneck_width <= 65536, "bottleneck_width: {} is not in [0, 65536]",
              bottleneck_width);
  check_input(dropout >= 0 && dropout < 1, "dropout: {} is not in [0, 1)", dropout);
  check_input(mining_share >= 0 && mining_share < 1, "mining_share: {} is not in [0, 1)", mining_share);
  check_input(mining_steps > 0, "mining_steps: {} is not positive", mining_steps);
  check_input(iterations >= 0, "iterations: {} is negative", iterations);
  check_input(batch > 0, "batch: {} is not positive", batch);
  check_optimisation(*this);
  check_input(decoder_norm_eps >= 0 && linear_attention_eps >= 0,
              "decoder_norm_eps {} and linear_attention_eps {} must not be negative", decoder_norm_eps,
              linear_attention_eps);
  // Values beyond the cut are redrawn; a much narrower cut would redraw for ever.
  check_input(init_std > 0 && init_cut >= 0.01 * init_std,
              "init_std {} must be positive and init_cut {} at least a hundredth of it", init_std, init_cut);
  check_input(map_size > 0 && map_size <= 16384, "map_size: {} is not in [1, 16384]", map_size);
  check_input(blur_size > 0 && blur_size % 2 == 1 && blur_size / 2 < map_size,
              "blur_size: {} is not odd or too large", blur_size);
  check_input(blur_sigma > 0, "blur_sigma: {} is not positive", blur_sigma);
  check_input(score_ratio >= 0 && score_ratio <= 1, "score_ratio: {} is not in [0, 1]", score_ratio);
  complete_sizes(image, patch);
  validate(image);
  check_crop(image, patch);
}

json with_old_options(json values) {
  if (const json older = values.value(older_recentering, json(false));
      older.is_boolean() && !values.contains("recentering"))
    values["recentering"] = name_of(older.get<bool>() ? Recentering::anomalib : Recentering::none);
  const Config paper;  // of the options that came with dinomaly2
  const json missing = {{"exif_orientation", false},
                        {"bit_depth", 16},
                        {"bottleneck_width", paper.bottleneck_width},
                        {"lr_decay_ratio", paper.lr_decay_ratio},
                        {"bottleneck_lr_factor", paper.bottleneck_lr_factor},
                        {"amsgrad", paper.amsgrad},
                        {"skip_not_finite", paper.skip_not_finite},
                        {"with_depth", paper.with_depth}};
  for (const auto& [name, value] : missing.items()) {
    if (!values.contains(name)) values[name] = value;
  }
  return values;
}

json Config::to_json() const {
  json result = {{"preset", name_of(preset)}};
  for_each_field(*this, [&](const char* name, const auto& field) { result[name] = json_of(field); });
  return result;
}

void Config::update_from_json(const json& values, const std::string& source) {
  check_input(values.is_object(), "{}: not a JSON object of options", source);
  // Other fields follow from the preset, so it is no field to change later.
  check_input(!values.contains("preset") || values["preset"] == name_of(preset),
              "{}: option 'preset' must be \"{}\", as chosen before", source, name_of(preset));
  std::set<std::string> known{"preset"};
  for_each_field(*this, [&](const char* name, auto& field) {
    known.insert(name);
    if (values.contains(name)) assign(values[name], field, source, name);
  });
  if (values.contains(older_recentering)) assign_older_recentering(values, recentering, source);
  for (const auto& [name, value] : values.items()) {
    check_input(known.contains(name) || name == older_recentering, "{}: there is no option '{}'{}", source,
                name, did_you_mean(name, {known.begin(), known.end()}));
  }
}

Preset parse_preset(const std::string& name) {
  if (name == "paper") return Preset::paper;
  if (name == "anomalib") return Preset::anomalib;
  if (name == "dinomaly2") return Preset::dinomaly2;
  fail_input("unknown preset '{}': expected paper, anomalib or dinomaly2", name);
}

std::string name_of(Preset preset) {
  if (preset == Preset::paper) return "paper";
  return preset == Preset::anomalib ? "anomalib" : "dinomaly2";
}

std::string name_of(Recentering recentering) {
  if (recentering == Recentering::none) return "none";
  return recentering == Recentering::anomalib ? "anomalib" : "dinomaly2";
}

}  // namespace dinomaly
