// The flags of training.
#pragma once

#include <filesystem>
#include <functional>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <vector>

#include "dinomaly/data/dataset.h"
#include "dinomaly/model/config.h"
#include "dinomaly/training/feature_store.h"
#include "dinomaly/weights/encoder_weights.h"

namespace CLI {
class App;
class Option;
}  // namespace CLI

namespace dinomaly {

struct TrainOptions {
  std::optional<std::filesystem::path> data, encoder;
  std::string layout = "auto";  // data/layout.h
  std::vector<std::string> categories;
  int64_t heads = 0;  // 0: width / 64
  int threads = 0;    // 0: as many as there are processors
  std::string precision = "f32";
  std::string device = "cpu";  // as --device names it
  std::filesystem::path out = "dinomaly-out";
  Config config;

  Device on;  // what `device` came to

  // Of the command `train` alone.
  bool separate = false;            // a model for each category, in OUT/CATEGORY
  int64_t eval_every = 0;           // iterations; 0: only at the end
  std::string keep_best;            // a metric; empty: the last weights are the model
  int64_t checkpoint_every = 1000;  // iterations; 0: none
  bool resume = false;
  double feature_memory = 0;  // GB; 0: half of the machine's
  std::optional<std::filesystem::path> feature_cache;
  std::string feature_dtype = "model";  // or bf16, int8
  std::string calibrate = "none";  // how thresholds are found: good (of the command: by default), f1, none
  double false_alarm_rate = 0.01;
  bool per_category = false;  // thresholds of each category, too
  bool slim = false;          // the model file without the encoder

  Dtype dtype() const;
  FeatureOptions features() const;
  // All but `resume` and `on`, the config's options under their names. Reading it back gives the same
  // options.
  nlohmann::json to_json() const;
};

// Declares flags on `app`; options() merges what was parsed: preset, then --config FILE, then --set
// NAME=VALUE, then the flags: later ones win. With --resume and without --config, OUT/config.json is the
// file.
class TrainFlags {
 public:
  enum class Program { example, command };
  TrainFlags(CLI::App& app, Program program);
  ~TrainFlags();
  // Sets the number of threads. Throws InputError.
  TrainOptions options() const;

 private:
  template <class T>
  void add(CLI::App& app, const std::string& name, T TrainOptions::*field, const std::string& help);
  template <class T>
  void add_config(CLI::App& app, const std::string& name, T Config::*field, const std::string& help);
  void add_model_flags(CLI::App& app);
  void add_command_flags(CLI::App& app);
  void apply_config_file(TrainOptions& options) const;
  void apply_texts(Config& config) const;

  const Program program_;
  TrainOptions given_;
  std::vector<std::function<void(TrainOptions&)>>
      given_fields_;  // copy a field that was given on the command line
  std::string preset_, config_file_;
  std::optional<std::string> resize_, crop_, mean_, std_;
  std::vector<std::string> settings_;
};

// For a program without subcommands. Prints the help and throws CLI::Success for --help; throws InputError or
// CLI::ParseError.
TrainOptions parse_train_options(int argc, char** argv, const std::string& description);

// The data set asked for, and a line on what it is; without --data the procedural one, made under
// OUT/dataset. Every image but the training ones, which are read next anyway (with --separate, of the first
// model only), is decoded once to find damaged files.
Dataset open_dataset(const TrainOptions& options);

// The checkpoint asked for; without --encoder a random ViT (width 192, 12 blocks, patch 14). Says which.
EncoderWeights open_encoder(const TrainOptions& options);

}  // namespace dinomaly
