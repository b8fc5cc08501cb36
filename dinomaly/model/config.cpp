#include "dinomaly/model/config.h"

#include <algorithm>
#include <cmath>

#include "dinomaly/base/numbers.h"
#include "dinomaly/base/option_error.h"
#include "dinomaly/model/config_fields.h"

namespace dinomaly {

namespace {

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

void complete_channels(ImageConfig& image, int64_t channels) {
  int64_t& own = image.pixels.channels;
  if (own == 0) own = channels;
  check_option(own == channels, "channels",
               "{} do not fit the encoder, whose patch_embed.proj.weight takes {}", own, channels);
  if (image.mean.empty()) image.mean = imagenet_mean(channels);
  if (image.std.empty()) image.std = imagenet_std(channels);
}

void check_crop(const ImageConfig& image, int64_t patch) {
  std::string nearest;
  for (const int64_t side : {image.crop_h, image.crop_w}) {
    if (side % patch == 0 || (!nearest.empty() && side == image.crop_h)) continue;
    const int64_t below = side / patch * patch;
    const std::string lower = below > 0 ? fmt::format("{} and ", below) : "";
    nearest += fmt::format("{}nearest to {}: {}{}", nearest.empty() ? "" : ", ", side, lower, below + patch);
  }
  check_option(nearest.empty(), "crop", "{} x {} is not a multiple of the encoder's patch {} ({})",
               image.crop_h, image.crop_w, patch, nearest);
}

// What the model computes in f32 must be a number there.
void check_numbers(const Config& c) {
  for_each_field(c, [](const char* name, const auto& field) {
    if constexpr (std::is_same_v<decltype(field), const double&>)
      check_input(std::isfinite(static_cast<float>(field)), "{}: {} is no finite number of 32 bits", name,
                  field);
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

void Config::complete(int64_t encoder_depth, int64_t patch, int64_t channels) {
  check_numbers(*this);
  check_input(!target_blocks.empty() || encoder_depth <= 32,
              "target_blocks: nobody has published any for an encoder of {}; name them with --set "
              "target_blocks=[...]",
              counted(encoder_depth, "block"));
  if (target_blocks.empty()) target_blocks = default_targets(encoder_depth);
  for (size_t i = 0; i < target_blocks.size(); ++i) {
    check_input(target_blocks[i] >= 0 && target_blocks[i] < encoder_depth,
                "target_blocks: block {} does not exist in an encoder of {}", target_blocks[i],
                counted(encoder_depth, "block"));
    check_input(i == 0 || target_blocks[i] > target_blocks[i - 1],
                "target_blocks: must be in increasing order");
  }
  check_input(decoder_depth > 0 && decoder_depth <= 1000, "decoder_depth: {} is not in [1, 1000]",
              decoder_depth);
  if (encoder_groups.empty()) encoder_groups = halves(static_cast<int64_t>(target_blocks.size()));
  if (decoder_groups.empty()) decoder_groups = halves(decoder_depth);
  check_groups("encoder_groups", encoder_groups, static_cast<int64_t>(target_blocks.size()));
  check_groups("decoder_groups", decoder_groups, decoder_depth);
  check_input(encoder_groups.size() == decoder_groups.size(), "{} not match {}",
              counted(encoder_groups.size(), "encoder group does", "encoder groups do"),
              counted(decoder_groups.size(), "decoder group"));
  check_input(!remove_class_token || recentering != Recentering::anomalib,
              "recentering anomalib needs the class token: it cannot be combined with remove_class_token");
  check_option(!feature_whitening || *feature_whitening > 0, "feature_whitening",
               "rank {} is not positive; leave the option out for no whitening",
               feature_whitening.value_or(0));
  check_option(whitening_shrinkage > 0 && whitening_shrinkage <= 1000, "whitening_shrinkage",
               "{} is not in (0, 1000]", whitening_shrinkage);
  check_option(feature_whitening || whitening_shrinkage == Config().whitening_shrinkage,
               "whitening_shrinkage", "there is no feature_whitening to be shrunk");
  check_input(bottleneck_width >= 0 && bottleneck_width <= 65536, "bottleneck_width: {} is not in [0, 65536]",
              bottleneck_width);
  check_input(dropout >= 0 && dropout < 1, "dropout: {} is not in [0, 1)", dropout);
  check_input(mining_share >= 0 && mining_share < 1, "mining_share: {} is not in [0, 1)", mining_share);
  check_input(mining_steps > 0, "mining_steps: {} is not positive", mining_steps);
  check_option(iterations >= 0, "iterations", "{} is negative", iterations);
  check_option(batch > 0, "batch", "{} is not positive", batch);
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
  complete_channels(image, channels);
  check_input(!with_depth || channels == 3, "with_depth: images with depth have 3 channels, not {}",
              channels);
  validate(image);
  check_crop(image, patch);
}

Preset parse_preset(const std::string& name) {
  if (name == "paper") return Preset::paper;
  if (name == "anomalib") return Preset::anomalib;
  if (name == "dinomaly2") return Preset::dinomaly2;
  throw OptionError("preset", fmt::format("'{}' is not one of paper, anomalib, dinomaly2", name));
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
