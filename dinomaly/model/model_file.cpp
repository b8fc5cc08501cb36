#include "dinomaly/model/model_file.h"

#include <nlohmann/json.hpp>

#include "dinomaly/base/framework.h"
#include "dinomaly/base/json_text.h"
#include "dinomaly/model/quantized_weights.h"
#include "dinomaly/weights/encoder_hash.h"
#include "dinomaly/weights/input_channels.h"
#include "dinomaly/weights/key_report.h"
#include "tensor/io/printable.h"
#include "tensor/io/safetensors.h"

namespace dinomaly {

namespace {

using Metadata = std::map<std::string, std::string>;

// The dtype an encoder's hash is computed in: weights rounded to bf16 no longer equal those of
// the encoder's file.
Dtype hash_dtype(const NamedTensors& encoder) {
  return encoder.front().second.dtype() == Dtype::bf16 ? Dtype::bf16 : Dtype::f32;
}

void check_hash(const EncoderWeights& encoder, const Metadata& metadata, const std::string& source,
                const std::string& encoder_source) {
  const auto expected = metadata.find("encoder_sha256");
  if (expected == metadata.end()) return;
  const auto dtype = metadata.find("encoder_dtype");
  const bool half = dtype != metadata.end() && dtype->second == "bf16";
  const std::string hash = encoder_sha256(encoder.tensors, half ? Dtype::bf16 : Dtype::f32);
  check_input(hash == expected->second,
              "{}: these are not the weights {} was trained with (SHA-256 {}, not {})", encoder_source,
              source, hash, printable(expected->second));
}

EncoderWeights encoder_of(const WeightsFile& file, const DetectorWeights& weights,
                          const std::optional<std::filesystem::path>& encoder, int64_t heads) {
  if (!weights.encoder.empty() || !weights.skipped_encoder.empty()) {
    check_input(!encoder, "{}: contains its encoder; --encoder is for files saved without one",
                file.source());
    return load_encoder(weights.encoder, file.source(), heads, weights.skipped_encoder);
  }
  const auto name = file.metadata.find("encoder");
  check_input(encoder.has_value(), "{}: saved without its encoder: give it with --encoder{}", file.source(),
              name == file.metadata.end() ? "" : fmt::format(" (it was {})", printable(name->second)));
  EncoderWeights result = load_encoder(load_weights_file(*encoder), heads);
  if (const int64_t channels = weights.config.image.pixels.channels; channels > 0)
    result = with_channels(std::move(result), channels, encoder->string());
  check_hash(result, file.metadata, file.source(), encoder->string());
  return result;
}

}  // namespace

void save_model(const std::filesystem::path& path, const Dinomaly& model, const EncoderConfig& encoder,
                const ModelFileOptions& options) {
  Metadata metadata{{"kind", own_kind},
                    {"config", json_text(model.config().to_json())},
                    {"heads", std::to_string(encoder.heads)}};
  if (!options.encoder_name.empty()) metadata["encoder"] = options.encoder_name;
  if (options.calibration) {
    metadata["calibration"] = options.calibration->to_text();
    metadata["calibration_of"] = judging_hash(metadata);
  }
  if (options.training_images) metadata["training_images"] = json_text(options.training_images->to_json());
  NamedTensors tensors = is_quantized(model) ? state_of_quantized(model) : model.state_dict();
  if (options.slim) {
    check_input(!is_quantized(model), "{}: a model of int8 weights is not saved without its encoder",
                path.string());
    const NamedTensors frozen = model.encoder().state_dict();
    metadata["encoder_sha256"] = encoder_sha256(frozen, hash_dtype(frozen));
    metadata["encoder_dtype"] = name_of(hash_dtype(frozen));
    std::erase_if(tensors, [](const auto& entry) { return entry.first.starts_with("encoder."); });
  }
  check_finite(tensors, path.string() + ": not written");
  save_safetensors(path, tensors, metadata);
}

Detector load_detector(const std::filesystem::path& path, const std::optional<std::filesystem::path>& encoder,
                       int64_t heads) {
  WeightsFile file = load_weights_file(path);
  const QuantizedLayers quantized = take_quantized(file);
  DetectorWeights weights = read_detector(file);
  const EncoderWeights frozen = encoder_of(file, weights, encoder, heads > 0 ? heads : weights.heads);
  check_trained(weights, frozen.config.width, file.source());
  check_channels(weights, frozen.config.channels, file.source());
  complete_config(weights, frozen.config, file.source());

  Detector result;
  result.kind = weights.kind;
  result.metadata = file.metadata;
  result.calibration = stored_calibration(file.metadata, file.source());
  if (const auto text = file.metadata.find("training_images"); text != file.metadata.end()) {
    result.training_images = TrainingImages::from_text(text->second, file.source());
  }
  result.model = std::make_unique<Dinomaly>(frozen.config, weights.config, Dinomaly::Start::loaded);
  result.model->set_requires_grad(false);  // before loading: then the weights are used where they are
  std::map<std::string, Tensor> all = weights.trained;
  for (const auto& [name, tensor] : frozen.tensors) all["encoder." + name] = tensor;
  result.model->load_state_dict(all, file.source());
  set_quantized(*result.model, quantized, file.source());
  result.model->eval();
  return result;
}

}  // namespace dinomaly
