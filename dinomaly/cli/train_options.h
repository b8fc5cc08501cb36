// The flags of training.
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "dinomaly/config.h"
#include "dinomaly/data/mvtec.h"
#include "dinomaly/weights/encoder_weights.h"

namespace dinomaly {

struct TrainOptions {
  std::optional<std::filesystem::path> data, encoder;
  std::vector<std::string> categories;
  int64_t heads = 0;  // 0: width / 64
  int threads = 0;    // 0: as many as there are processors
  Dtype precision = Dtype::f32;
  std::filesystem::path out = "dinomaly-out";
  Config config;
};

// Preset, then --config FILE, then --set NAME=VALUE, then the flags: later ones win. Sets the number of
// threads. Throws InputError or CLI::ParseError; prints the help and throws CLI::Success for --help.
TrainOptions parse_train_options(int argc, char** argv, const std::string& description);

// The data set asked for; without --data the procedural one, made under OUT/dataset. Every picture but the
// training ones, which are read next anyway, is decoded once to find damaged files.
Dataset open_dataset(const TrainOptions& options);

// The checkpoint asked for; without --encoder a random ViT (width 192, 12 blocks, patch 14). Says which.
EncoderWeights open_encoder(const TrainOptions& options);

}  // namespace dinomaly
