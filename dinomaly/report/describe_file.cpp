#include "dinomaly/report/describe_file.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "dinomaly/base/framework.h"
#include "dinomaly/model/calibration.h"
#include "dinomaly/model/detector_weights.h"
#include "dinomaly/model/quantized_weights.h"
#include "dinomaly/model/training_images.h"
#include "dinomaly/weights/encoder_choice.h"
#include "dinomaly/weights/encoder_hash.h"
#include "dinomaly/weights/key_report.h"
#include "tensor/io/printable.h"

namespace dinomaly {
namespace {

using nlohmann::json;

json describe_encoder(const EncoderWeights& weights, int64_t heads) {
  const EncoderConfig& config = weights.config;
  if (heads == 0 && (config.rotary || config.width % 64 == 0)) heads = config.heads;
  json result = {{"width", config.width},
                 {"heads", heads > 0 ? json(heads) : json(nullptr)},
                 {"depth", config.depth},
                 {"patch", config.patch},
                 {"channels", config.channels},
                 {"registers", config.registers},
                 {"positions", config.rotary ? "rotary" : "table"},
                 {"ffn", config.ffn == EncoderConfig::Ffn::mlp ? "mlp" : "swiglu"},
                 {"hidden", config.hidden},
                 {"layer_scale", config.layer_scale},
                 {"sha256", encoder_sha256(weights.tensors)}};
  if (!config.rotary) result["grid"] = fmt::format("{} x {}", config.grid_h, config.grid_w);
  if (!weights.prefix.empty()) result["under"] = printable(weights.prefix);
  for (const std::string& other : weights.others) result["not_under"].push_back(printable(other));
  if (weights.not_used > 0) result["tensors_not_used"] = weights.not_used;
  return result;
}

// The encoder width that a detector saved without its encoder was trained for.
int64_t trained_width(const DetectorWeights& weights, const std::string& source) {
  const auto narrow = weights.trained.find("bottleneck.0.0.weight");
  const bool second = narrow != weights.trained.end();
  const Tensor& first = second ? narrow->second : weights.trained.at("bottleneck.0.fc1.weight");
  check_input(first.rank() == 2 && first.size(1) > 0, "{}: the bottleneck's first weight has shape {}",
              source, first.shape());
  return first.size(1);
}

void describe_detector(WeightsFile file, int64_t heads, json& result) {
  const bool quantized = !take_quantized(file).empty();
  DetectorWeights weights = read_detector(file);
  if (heads == 0) heads = weights.heads;
  const bool slim = weights.encoder.empty() && weights.skipped_encoder.empty();
  if (slim) {
    check_trained(weights, trained_width(weights, file.source()), file.source());
    result["encoder"] = {{"width", trained_width(weights, file.source())}};
    if (heads > 0) result["encoder"]["heads"] = heads;
    if (const auto hash = file.metadata.find("encoder_sha256"); hash != file.metadata.end())
      result["encoder"]["sha256"] = printable(hash->second);
  } else {
    const EncoderWeights encoder =
        load_encoder(weights.encoder, file.source(), heads_or_any(heads), weights.skipped_encoder);
    check_trained(weights, encoder.config.width, file.source());
    check_channels(weights, encoder.config.channels, file.source());
    complete_config(weights, encoder.config, file.source());
    result["encoder"] = describe_encoder(encoder, heads);
    if (quantized) result["encoder"].erase("sha256");  // of weights that are no longer there
  }
  if (const auto name = file.metadata.find("encoder"); name != file.metadata.end())
    result["encoder"]["file"] = printable(name->second);
  result["kind"] = "detector";
  result["detector"] = {{"written_by", name_of(weights.kind)},
                        {"preset", name_of(weights.config.preset)},
                        {"slim", slim},
                        {"precision", quantized ? "int8" : "float"},
                        {"config", weights.config.to_json()}};
  if (const auto calibration = stored_calibration(file.metadata, file.source()))
    result["calibration"] = calibration->summary();
  if (const auto text = file.metadata.find("training_images"); text != file.metadata.end()) {
    result["training_images"] = TrainingImages::from_text(text->second, file.source()).to_json();
  }
}

bool holds_encoder(const WeightsFile& file) {
  const auto is_patch_embedding = [](const auto& entry) {
    const std::string name = without_wrappers(entry.first);
    return std::any_of(std::begin(encoder_anchors), std::end(encoder_anchors),
                       [&](std::string_view anchor) { return name.ends_with(anchor); });
  };
  return std::any_of(file.tensors.begin(), file.tensors.end(), is_patch_embedding) ||
         std::any_of(file.skipped.begin(), file.skipped.end(), is_patch_embedding);
}

uint64_t bytes_of(const WeightsFile& file) {
  uint64_t bytes = std::filesystem::file_size(file.path);
  for (const std::filesystem::path& shard : file.shards) bytes += std::filesystem::file_size(shard);
  return bytes;
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
  for (const auto& [name, what] : file.skipped)
    result["skipped"].push_back(fmt::format("{} ({})", printable(name), what));
}

}  // namespace

json describe_file(const std::filesystem::path& path, const DescribeOptions& options) {
  const WeightsFile file = load_weights_file(path);
  json result{{"file", file.source()},
              {"format", name_of(file.format)},
              {"bytes", bytes_of(file)},
              {"sha256", file_sha256(file.path)},
              {"kind", "other"}};
  describe_tensors(file, options.tensors, result);
  if (is_training_state(file)) {
    result["kind"] = "state of a training run";
    check_finite({file.tensors.begin(), file.tensors.end()}, file.source());
  } else if (holds_detector(file)) {
    describe_detector(file, options.heads, result);
  } else if (holds_encoder(file)) {
    result["kind"] = "encoder";
    result["encoder"] = describe_encoder(load_encoder(file, heads_or_any(options.heads)), options.heads);
  }
  return result;
}

}  // namespace dinomaly
