// A trained Dinomaly in a file: who wrote it, its options, and its tensors under our names.
#pragma once

#include <map>
#include <optional>
#include <string>

#include "dinomaly/model/calibration.h"
#include "dinomaly/model/config.h"
#include "dinomaly/weights/encoder_weights.h"
#include "dinomaly/weights/weights_file.h"

namespace dinomaly {

// Who wrote the file: this program (config in the metadata), the authors' code
// (`encoder.*`, `bottleneck.*`, `decoder.*`), or anomalib (the same under `model.`, the
// encoder since 2.7 under `encoder.feature_extractor.`).
enum class DetectorKind { own, authors, anomalib };

// The metadata "kind" of our own files; exported ones append "-authors" or "-anomalib".
inline constexpr const char* own_kind = "dinomaly";
// The same for a training run's checkpoint.
inline constexpr const char* training_state_kind = "dinomaly checkpoint";

struct DetectorWeights {
  DetectorKind kind = DetectorKind::own;
  // For a file saved or exported here, its config. Otherwise the preset that the bottleneck reveals, the decoder's
  // depth, and the hyper-parameters of a Lightning checkpoint. Not yet completed for the encoder.
  Config config;
  int64_t heads = 0;                                   // 0: the file does not say
  std::map<std::string, Tensor> encoder;               // under the file's names; empty: saved without
  std::map<std::string, std::string> skipped_encoder;  // those that could not be read (WeightsFile::skipped)
  std::map<std::string, Tensor> trained;               // bottleneck.*, decoder.N.*, whitening.*
  std::vector<std::string> extra;                      // tensors of neither
};

// Whether the file is a checkpoint that `train` continues from (checkpoint.h) and nothing else should load.
bool is_training_state(const WeightsFile& file);

// Whether the file has a bottleneck, of Dinomaly or Dinomaly2.
bool holds_detector(const WeightsFile& file);

// Throws InputError if there is no detector or more than one, or if the file's metadata makes no sense.
DetectorWeights read_detector(const WeightsFile& file);

// Throws InputError listing missing, unexpected and misshapen tensors unless bottleneck and decoder are
// complete for an encoder of that width.
void check_trained(const DetectorWeights& weights, int64_t width, const std::string& source);

// Throws InputError naming both numbers where the options say another number of channels than the encoder takes.
void check_channels(const DetectorWeights& weights, int64_t channels, const std::string& source);

// Config::complete(), whose InputError then names `source`.
void complete_config(DetectorWeights& weights, const EncoderConfig& encoder, const std::string& source);

// Of the metadata "config" and "heads", without which scores mean something else: "calibration_of" stands beside the
// thresholds that were found with them.
std::string judging_hash(const std::map<std::string, std::string>& metadata);

// The metadata "calibration", if any. Throws InputError naming `source` where it is malformed, or where
// "calibration_of" (which earlier versions did not write) is not the hash of the rest.
std::optional<Calibration> stored_calibration(const std::map<std::string, std::string>& metadata,
                                              const std::string& source);

std::string name_of(DetectorKind kind);  // "dinomaly.cpp", "authors", "anomalib"

// The encoder in a file, a detector's included: its number of heads is what the file says unless it is given.
// Throws InputError as load_encoder() of tensors (weights/encoder_weights.h).
EncoderWeights load_encoder(const WeightsFile& file, int64_t heads = 0);

}  // namespace dinomaly
