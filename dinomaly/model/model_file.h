// A trained detector as one file.
#pragma once

#include <filesystem>
#include <map>
#include <memory>
#include <optional>
#include <string>

#include "dinomaly/model/calibration.h"
#include "dinomaly/model/detector_weights.h"
#include "dinomaly/model/model.h"
#include "dinomaly/model/training_images.h"

namespace dinomaly {

struct ModelFileOptions {
  std::optional<Calibration> calibration = std::nullopt;
  std::optional<TrainingImages> training_images = std::nullopt;
  bool slim = false;              // without the encoder, which is then named by its SHA-256
  std::string encoder_name = {};  // the encoder's file, for messages
};

// One safetensors file: encoder.*, bottleneck.* and decoder.* under the authors' names. Its metadata: "kind"
// = "dinomaly", "config" (Config::to_json: the preset and every option, preprocessing included), "heads",
// "encoder" (a file name), "encoder_sha256" and "encoder_dtype" (encoder_hash.h; slim files), "calibration"
// (JSON), "calibration_of" (judging_hash()) and "training_images" (JSON). Written whole or not at all. Throws InputError naming a tensor that is not finite.
void save_model(const std::filesystem::path& path, const Dinomaly& model, const EncoderConfig& encoder,
                const ModelFileOptions& options = {});

struct Detector {
  std::unique_ptr<Dinomaly> model;  // f32, on the CPU, in eval mode, nothing requires gradients
  DetectorKind kind = DetectorKind::own;
  std::optional<Calibration> calibration;
  std::optional<TrainingImages> training_images;  // none: the file does not say
  std::map<std::string, std::string> metadata;    // of a safetensors file

  const Config& config() const { return model->config(); }
  // Whether it judges views that are cut out of one picture: it was trained or calibrated on such.
  bool judges_strips() const {
    return (training_images && training_images->strips) ||
           (calibration && calibration->objects == ObjectKind::strips);
  }
};

// Any trained Dinomaly: what save_model() and `dinomaly export` wrote, the authors' model.pth, anomalib's
// .ckpt. `encoder`: the weights of a slim file's encoder, in any format load_encoder() reads; their hash must
// match the saved one. `heads`: 0 means the file's own number, or width / 64 if it has none. Throws
// InputError naming the file and what is missing, unexpected or misshapen in it.
Detector load_detector(const std::filesystem::path& path,
                       const std::optional<std::filesystem::path>& encoder = std::nullopt, int64_t heads = 0);

}  // namespace dinomaly
