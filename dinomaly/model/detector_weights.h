// A trained Dinomaly among a file's tensors: whose it is, its options, and its tensors under our names.
#pragma once

#include <map>
#include <optional>
#include <string>

#include "dinomaly/model/config.h"
#include "dinomaly/weights/encoder_weights.h"
#include "dinomaly/weights/weights_file.h"

namespace dinomaly {

// Who wrote the file: this program (config in the metadata), the authors' code (`encoder.*`, `bottleneck.*`,
// `decoder.*`), or anomalib (the same under `model.`, the encoder since 2.7 under
// `encoder.feature_extractor.`).
enum class DetectorKind { own, authors, anomalib };

// What our own files say under "kind" in their metadata; exported ones have "-authors" or "-anomalib" after
// it.
inline constexpr const char* own_kind = "dinomaly";
// What the states of a training run say there.
inline constexpr const char* training_state_kind = "dinomaly checkpoint";

struct DetectorWeights {
  DetectorKind kind = DetectorKind::own;
  // Saved or exported here: as it was. Otherwise the preset the biases betray, the decoder's depth, and what
  // a Lightning checkpoint says in its hyper-parameters. Not yet completed for the encoder.
  Config config;
  int64_t heads = 0;                      // 0: the file does not say
  std::map<std::string, Tensor> encoder;  // under the file's names; empty: saved without
  std::map<std::string, Tensor> trained;  // bottleneck.0.fc1.weight, decoder.N.*
  std::vector<std::string> strangers;     // tensors that belong to neither
};

// Whether the file is what `train` goes on from (checkpoint.h), which no one else should load.
bool is_training_state(const WeightsFile& file);

// Whether there is a bottleneck in the file.
bool holds_detector(const WeightsFile& file);

// Throws InputError if there is no detector or more than one, or what the file says of itself makes no sense.
DetectorWeights read_detector(const WeightsFile& file);

// Throws InputError listing missing, unexpected and misshapen tensors unless bottleneck and decoder are whole
// for an encoder of that width.
void check_trained(const DetectorWeights& weights, int64_t width, const std::string& source);

std::string name_of(DetectorKind kind);  // "dinomaly.cpp", "authors", "anomalib"

// The encoder in a file, a detector's included: its number of heads is what the file says unless it is given.
// Throws InputError as load_encoder() of tensors (weights/encoder_weights.h).
EncoderWeights load_encoder(const WeightsFile& file, int64_t heads = 0);

}  // namespace dinomaly
