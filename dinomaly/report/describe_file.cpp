#include "dinomaly/report/describe_file.h"

#include <nlohmann/json.hpp>

#include "dinomaly/base/framework.h"
#include "dinomaly/model/calibration.h"
#include "dinomaly/model/detector_weights.h"
#include "dinomaly/weights/encoder_hash.h"
#include "tensor/io/printable.h"

namespace dinomaly {
namespace {

using nlohmann::json;

json describe_encoder(const EncoderWeights& weights, int64_t heads) {
  const EncoderConfig& config = weights.config;
  if (heads == 0 && config.width % 64 == 0) heads = config.width / 64;
  return {{"width", config.width},
          {"heads", heads > 0 ? json(heads) : json(nullptr)},
          {"depth", config.depth},
          {"patch", config.patch},
          {"registers", config.registers},
          {"grid", fmt::format("{} x {}", config.grid_h, config.grid_w)},
          {"ffn", config.ffn == EncoderConfig::Ffn::mlp ? "mlp" : "swiglu"},
          {"hidden", config.hidden},
          {"layer_scale", config.layer_scale},
          {"sha256", encoder_sha256(weights.tensors)}};
}

// The encoder width that a detector saved without its encoder was trained for.
int64_t trained_width(const DetectorWeights& weights, const std::string& source) {
  const Tensor& fc1 = weights.trained.at("bottleneck.0.fc1.weight");
  check_input(fc1.rank() == 2 && fc1.size(1) > 0, "{}: bottleneck.0.fc1.weight has shape {}", source,
              fc1.shape());
  return fc1.size(1);
}

void describe_detector(const WeightsFile& file, int64_t heads, json& result) {
  constexpr int64_t any_heads = 1;  // they are in no shape
  DetectorWeights weights = read_detector(file);
  if (heads == 0) heads = weights.heads;
  const bool slim = weights.encoder.empty();
  if (slim) {
    check_trained(weights, trained_width(weights, file.source()), file.source());
    result["encoder"] = {{"width", trained_width(weights, file.source())}};
    if (heads > 0) result["encoder"]["heads"] = heads;
    if (const auto hash = file.metadata.find("encoder_sha256"); hash != file.metadata.end())
      result["encoder"]["sha256"] = printable(hash->second);
  } else {
    const EncoderWeights encoder = load_encoder(weights.encoder, file.source(), any_heads);
    check_trained(weights, encoder.config.width, file.source());
    weights.config.complete(encoder.config.depth, encoder.config.patch);
    result["encoder"] = describe_encoder(encoder, heads);
  }
  if (const auto name = file.metadata.find("encoder"); name != file.metadata.end())
    result["encoder"]["file"] = printable(name->second);
  result["kind"] = "detector";
  result["detector"] = {{"written_by", name_of(weights.kind)},
                        {"preset", name_of(weights.config.preset)},
                        {"slim", slim},
                        {"config", weights.config.to_json()}};
  if (const auto text = file.metadata.find("calibration"); text != file.metadata.end()) {
    result["calibration"] = Calibration::from_text(text->second, file.source()).to_json();
  }
}

bool holds_encoder(const WeightsFile& file) {
  for (const auto& [name, tensor] : file.tensors) {
    if (name.ends_with("patch_embed.proj.weight") || name.ends_with("patch_embeddings.projection.weight"))
      return true;
  }
  return false;
}

void describe_tensors(const WeightsFile& file, bool all, json& result) {
  int64_t parameters = 0;
  for (const auto& [name, tensor] : file.tensors) {
    parameters += tensor.numel();
    json& count = result["dtypes"][file.dtypes.at(name)];
    count = count.is_null() ? 1 : count.get<int64_t>() + 1;
    if (all) result["tensors"][name] = fmt::format("{} {}", file.dtypes.at(name), tensor.shape());
  }
  result["parameters"] = parameters;
  if (!file.skipped.empty()) result["skipped"] = file.skipped;
}

}  // namespace

json describe_file(const std::filesystem::path& path, const DescribeOptions& options) {
  const WeightsFile file = load_weights_file(path);
  json result{{"file", file.source()},
              {"format", name_of(file.format)},
              {"bytes", std::filesystem::file_size(path)},
              {"sha256", file_sha256(path)},
              {"kind", "other"}};
  describe_tensors(file, options.tensors, result);
  if (is_training_state(file)) {
    result["kind"] = "state of a training run";
  } else if (holds_detector(file)) {
    describe_detector(file, options.heads, result);
  } else if (holds_encoder(file)) {
    result["kind"] = "encoder";
    result["encoder"] = describe_encoder(load_encoder(file, 1), options.heads);
  }
  return result;
}

}  // namespace dinomaly
