#include "dinomaly/model/detector_export.h"

#include <limits>
#include <nlohmann/json.hpp>

#include "dinomaly/base/framework.h"
#include "dinomaly/model/anomaly_map.h"
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

// The authors have written two programs.
void check_target(const Config& config, DetectorKind target) {
  check_input(!config.feature_whitening,
              "{} has no feature whitening, but this model has one (rank {}): it cannot be written for it",
              name_of(target), config.feature_whitening.value_or(0));
  const bool authors = target == DetectorKind::authors, second = config.preset == Preset::dinomaly2;
  check_input(authors == (config.preset != Preset::anomalib),
              "{} computes only the preset{}, but this model has the preset '{}'", name_of(target),
              authors ? "s 'paper' and 'dinomaly2'" : " 'anomalib'", name_of(config.preset));
  const Config usual = Config::with_preset(config.preset);
  check_input(
      config.bottleneck_bias == usual.bottleneck_bias && config.decoder_mlp_bias == usual.decoder_mlp_bias,
      "{} computes only the preset '{}', but this model has the preset '{}' with other biases",
      name_of(target), name_of(config.preset), name_of(config.preset));
  check_input((config.bottleneck_width > 0) == second,
              "{} has {} narrow layer in its bottleneck, this model {}", name_of(target), second ? "a" : "no",
              second ? "none" : "has one");
  check_input((config.recentering == Recentering::dinomaly2) == second,
              "{} of the preset '{}' does not know the recentering '{}'", name_of(target),
              name_of(config.preset), name_of(config.recentering));
}

}  // namespace

void export_detector(const std::filesystem::path& path, const Detector& detector, DetectorKind target) {
  check(target != DetectorKind::own, "export_detector: for other implementations");
  const Config& config = detector.config();
  check_target(config, target);
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
