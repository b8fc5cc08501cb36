// What a run of training is asked for: on a command line, in a config file, or both.
#pragma once

#include <filesystem>
#include <map>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <vector>

#include "dinomaly/base/framework.h"
#include "dinomaly/model/config.h"
#include "dinomaly/training/feature_store.h"
#include "tensor/device.h"

namespace dinomaly {

// What a command line says in words that need reading: --preset, --config, --set, --resize, ...
struct OptionTexts {
  std::string preset, file;
  std::vector<std::string> settings;                   // NAME=VALUE, the value in JSON
  std::optional<std::string> resize, crop, mean, std;  // "448", "448x336"; "r,g,b"
};

// What stands for a file as an encoder: weights drawn by the run's seed.
inline constexpr const char* random_encoder_name = "random";

// Where an option of the config was named.
enum class GivenBy { file, setting, flag };

// The side of --fast's images: 20 patches, 400 tokens instead of the usual 784, and 10 of the program's own encoder instead
// of 14. The paper's row of 280 x 280 pixels (patch 14) loses 0.14 points of image AUROC on MVTec AD.
int64_t fast_side(int64_t patch, bool own_encoder);

struct TrainOptions {
  std::optional<std::filesystem::path> data;
  std::optional<std::filesystem::path> encoder;  // a file, or random_encoder_name; none: the program's own
  // Of an encoder that was asked for by name: the name, which stands in a config file in the place of `encoder`, so that
  // the file moves between machines, and the SHA-256 of its file. Else empty.
  std::string encoder_name, encoder_sha256;
  std::string layout = "auto";  // data/layout.h
  std::vector<std::string> categories;
  int64_t shots = 0;  // images of each category to train on, augmented; 0: all, as they are
  int64_t heads = 0;  // 0: width / 64
  int threads = 0;    // 0: as many as there are processors
  std::string precision = "f32";
  std::string device_name = "cpu";  // as --device has it; "device" in a config file
  std::filesystem::path out = "dinomaly-out";
  Config config;
  std::map<std::string, GivenBy> given;  // the config's options that were named, and where last

  Device device;  // what `device_name` came to: set by prepare()

  // Of the command `train` alone.
  bool separate = false;                               // a model for each category, in OUT/CATEGORY
  int64_t eval_every = 0;                              // iterations; 0: only at the end
  std::string keep_best;                               // a metric; empty: the last weights are the model
  int64_t checkpoint_every = 1000;                     // iterations; 0: none
  bool resume = false, finish = false, force = false;  // of this call: not in a config file
  double feature_memory = 0;                           // GB; 0: half of the machine's
  std::optional<std::filesystem::path> feature_cache;
  std::string feature_dtype = "model";  // or bf16, int8
  std::string calibrate = "none";  // how thresholds are found: good (of the command: by default), f1, none
  double false_alarm_rate = 0.01;
  bool per_category = false;  // thresholds of each category, too
  std::string roi = "none";   // what of an image they count: RegionOfInterest::parse()
  bool slim = false;          // the model file without the encoder
  bool fast = false;  // of this call: int8, and whole images at fast_side(); stands in a config file as these

  // Takes the preset, then the file's options, then the settings, then sizes and means: later ones win. The
  // file is one of to_json(), or a part of it. Throws InputError.
  void apply(const OptionTexts& texts);
  // The encoder's file, where it has one.
  std::optional<std::filesystem::path> encoder_file() const;
  // As Config::complete(), with the image sizes of the program's own encoder where that is used. What is said of an
  // option that also has a flag names the flag, unless the option was named in the file or by --set.
  void complete_config(int64_t encoder_depth, int64_t patch, int64_t channels);
  // Checks the values, opens the device and sets the number of threads. Throws InputError.
  void prepare();

  bool stores_int8() const { return precision == "int8"; }
  Dtype dtype() const;  // of training
  FeatureOptions features() const;
  // All but `resume`, `finish`, `force` and `device`, the config's options under their names. Reading it back gives
  // the same options.
  nlohmann::json to_json() const;

 private:
  void take_fast_size(int64_t side);
};

}  // namespace dinomaly
