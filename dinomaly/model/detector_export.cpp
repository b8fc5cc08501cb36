#include "dinomaly/model/detector_export.h"

#include <limits>
#include <nlohmann/json.hpp>

#include "dinomaly/base/framework.h"
#include "dinomaly/model/anomaly_map.h"
#include "dinomaly/model/quantized_weights.h"
#include "dinomaly/weights/encoder_naming.h"
#include "tensor/io/safetensors.h"

namespace dinomaly {
namespace {

NamedTensors encoder_as(const Dinomaly& model, Naming naming) {
  const int64_t width = model.encoder().config().width;
  EncoderWeights weights{model.encoder().config(), model.encoder().state_dict()};
  weights.unused = {{"norm.weight", Tensor::ones({width})},
                    {"norm.bias", Tensor::zeros({width})},
                    {"mask_token", Tensor::zeros({1, width})}};
  return named_as(weights, naming);
}

NamedTensors trained_tensors(const Dinomaly& model) {
  NamedTensors result;
  for (const auto& [name, parameter] : model.named_trained_parameters())
    result.emplace_back(name, parameter.value());
  return result;
}

NamedTensors as_authors(const Dinomaly& model) {
  NamedTensors result = trained_tensors(model);
  for (const auto& [name, tensor] : encoder_as(model, Naming::meta))
    result.emplace_back("encoder." + name, tensor);
  return result;
}

NamedTensors as_anomalib(const Dinomaly& model) {
  NamedTensors result;
  for (const auto& [name, tensor] : encoder_as(model, Naming::timm)) {
    result.emplace_back("model.encoder.feature_extractor." + name, tensor);
  }
  for (const auto& [name, tensor] : trained_tensors(model)) {
    result.emplace_back("model." + name, tensor);
    // The module lists the trained parts a second time.
    const bool bottleneck = name.starts_with("bottleneck.");
    const std::string rest = name.substr(name.find('.') + 1);
    result.emplace_back(fmt::format("trainable_modules.{}.{}", bottleneck ? 0 : 1, rest), tensor);
  }
  const Config& config = model.config();
  result.emplace_back("model.gaussian_blur.kernel",
                      gaussian_kernel(config.blur_size, config.blur_sigma).to(Dtype::f32));
  for (const char* name :
       {"_image_threshold", "_pixel_threshold", "image_min", "image_max", "pixel_min", "pixel_max"}) {
    result.emplace_back(fmt::format("post_processor.{}", name),
                        Tensor::full({}, std::numeric_limits<double>::quiet_NaN()));
  }
  return result;
}

template <class Value>
void check_computes(bool computes, DetectorKind target, const char* option, const Value& value) {
  check_input(computes, "export --to {}: '{}' is {}, which {} code does not compute", name_of(target), option,
              value, target == DetectorKind::authors ? "the authors'" : "anomalib's");
}

// Dinomaly's code takes square images of 3 channels; that of Dinomaly2 also with depth, from which it cannot recentre
// without the class token. Both get the constants of blur, map, score and norms as arguments.
void check_authors(const Config& config) {
  const DetectorKind target = DetectorKind::authors;
  const bool second = config.preset == Preset::dinomaly2;
  check_computes(config.recentering != Recentering::anomalib, target, "recentering",
                 name_of(config.recentering));
  check_computes(second || config.recentering == Recentering::none, target, "recentering",
                 name_of(config.recentering));
  check_computes(second || !config.with_depth, target, "with_depth", config.with_depth);
  check_computes(!config.with_depth || !config.remove_class_token, target, "remove_class_token",
                 config.remove_class_token);
  check_computes(config.image.crop_h == config.image.crop_w, target, "crop_w", config.image.crop_w);
  check_computes(!config.blur_reflects, target, "blur_reflects", config.blur_reflects);
}

// Its constants are no arguments; the blur's kernel is in the state dict, but of one size.
void check_anomalib(const Config& config, const Config& usual) {
  const DetectorKind target = DetectorKind::anomalib;
  const auto same = [&](const char* option, const auto& value, const auto& theirs) {
    check_computes(value == theirs, target, option, value);
  };
  check_computes(config.recentering != Recentering::dinomaly2, target, "recentering",
                 name_of(config.recentering));
  same("with_depth", config.with_depth, false);
  same("decoder_norm_eps", config.decoder_norm_eps, usual.decoder_norm_eps);
  same("map_size", config.map_size, usual.map_size);
  same("blur_size", config.blur_size, usual.blur_size);
  same("blur_reflects", config.blur_reflects, usual.blur_reflects);
  same("score_ratio", config.score_ratio, usual.score_ratio);
}

// What computes the same there can be exported, whatever its arguments. The authors have written two programs.
void check_target(const Config& config, DetectorKind target) {
  check_input(!config.feature_whitening,
              "{} has no feature whitening, but this model has one (rank {}): it cannot be written for it",
              name_of(target), config.feature_whitening.value_or(0));
  check_computes(!config.softmax_attention, target, "softmax_attention", config.softmax_attention);
  const bool authors = target == DetectorKind::authors, second = config.preset == Preset::dinomaly2;
  check_input(authors == (config.preset != Preset::anomalib),
              "{} computes only the preset{}, but this model has the preset '{}'", name_of(target),
              authors ? "s 'paper' and 'dinomaly2'" : " 'anomalib'", name_of(config.preset));
  const Config usual = Config::with_preset(config.preset);
  check_computes(config.image.pixels.channels == 3, target, "channels", config.image.pixels.channels);
  check_computes(config.bottleneck_bias == usual.bottleneck_bias, target, "bottleneck_bias",
                 config.bottleneck_bias);
  check_computes(config.decoder_mlp_bias == usual.decoder_mlp_bias, target, "decoder_mlp_bias",
                 config.decoder_mlp_bias);
  check_computes((config.bottleneck_width > 0) == second, target, "bottleneck_width",
                 config.bottleneck_width);
  check_computes(second || config.linear_attention_eps == usual.linear_attention_eps, target,
                 "linear_attention_eps", config.linear_attention_eps);
  if (authors)
    check_authors(config);
  else
    check_anomalib(config, usual);
}

}  // namespace

void export_detector(const std::filesystem::path& path, const Detector& detector, DetectorKind target) {
  check(target != DetectorKind::own, "export_detector: for other implementations");
  const Config& config = detector.config();
  check_target(config, target);
  check_input(!is_quantized(*detector.model),
              "{} has no int8 weights: export the model that they were made of", name_of(target));
  std::map<std::string, std::string> metadata{
      {"kind", fmt::format("{}-{}", own_kind, name_of(target))},
      {"config", config.to_json().dump()},
      {"heads", std::to_string(detector.model->encoder().config().heads)},
      {"format", "pt"}};
  if (detector.calibration) {
    metadata["calibration"] = detector.calibration->to_text();
    metadata["calibration_of"] = judging_hash(metadata);
  }
  save_safetensors(
      path, target == DetectorKind::authors ? as_authors(*detector.model) : as_anomalib(*detector.model),
      metadata);
}

}  // namespace dinomaly
