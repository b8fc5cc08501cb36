// The flags of `dinomaly train`.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "dinomaly/training/train_options.h"

namespace CLI {
class App;
class Option;
}  // namespace CLI

namespace dinomaly {

// Declares flags on `app`; options() merges what was parsed: preset, then --config FILE, then --set
// NAME=VALUE, then the flags: later ones win. With --resume and without --config, OUT/config.json
// is the file.
class TrainFlags {
 public:
  explicit TrainFlags(CLI::App& app);
  ~TrainFlags();
  // Checked and prepared (TrainOptions::prepare). Throws InputError.
  TrainOptions options() const;

 private:
  template <class T>
  void add(CLI::App& app, const std::string& name, T TrainOptions::*field, const std::string& help);
  template <class T>
  void add_config(CLI::App& app, const std::string& name, T Config::*field, const std::string& help);
  void add_model_flags(CLI::App& app);
  void add_fast_flag(CLI::App& app);
  void add_run_flags(CLI::App& app);

  TrainOptions given_;
  const CLI::Option* offline_ = nullptr;
  std::vector<std::function<void(TrainOptions&)>>
      given_fields_;  // copy a field that was given on the command line
  OptionTexts texts_;
};

}  // namespace dinomaly
