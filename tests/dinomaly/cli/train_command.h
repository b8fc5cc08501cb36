// What tests of `dinomaly train` share: a tiny encoder and images on which a run takes a moment.
#pragma once

#include <doctest/doctest.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <string>
#include <system_error>
#include <vector>

#include "dinomaly/base/framework.h"
#include "tensor/io/safetensors.h"
#include "tests/dinomaly/cli/program.h"
#include "tests/dinomaly/tiny_encoder.h"

namespace dinomaly {

// FOLDER/data (weave and wood, 64 x 64 pixels, 6 training images each) and FOLDER/encoder.safetensors.
inline void make_training_inputs(const TemporaryFolder& folder) {
  ProceduralOptions options;
  options.size = 64, options.train = 6, options.good = 2, options.per_defect = 1;
  options.categories = {"weave", "wood"};
  make_dataset(folder / "data", options);
  save_safetensors(folder / "encoder.safetensors", tiny_encoder().tensors);
}

// The flags of a small run on them, into FOLDER/OUT.
inline std::string small_run(const TemporaryFolder& folder, const std::string& out) {
  return fmt::format(
      "train {0}/data --encoder {0}/encoder.safetensors --heads 2 --resize 56 --crop 56 --batch 2 "
      "--set decoder_depth=2 --set map_size=32 --out {0}/{1} ",
      folder.path().string(), out);
}

inline std::string bytes_of(const std::filesystem::path& path) { return read_file(path, 1 << 26); }

inline nlohmann::json json_of(const std::filesystem::path& path) {
  return nlohmann::json::parse(bytes_of(path));
}

// Runs the command and checks that it finishes.
inline Outcome run_well(const TemporaryFolder& folder, const std::string& flags) {
  CAPTURE(flags);
  Outcome outcome = run_dinomaly(folder, flags);
  CHECK_MESSAGE(outcome.status == 0, outcome.error);
  return outcome;
}

// The command exits with status 2 and one line that contains `expected`.
inline void check_refused(const TemporaryFolder& folder, const std::string& flags,
                          const std::string& expected) {
  CAPTURE(flags);
  const Outcome outcome = run_dinomaly(folder, flags);
  CHECK(outcome.status == 2);
  CHECK_MESSAGE(contains(outcome.error, expected), outcome.error);
  CHECK_MESSAGE(std::count(outcome.error.begin(), outcome.error.end(), '\n') == 1, outcome.error);
}

// Files of `folder`, those below it too, that a program left under a temporary name.
inline std::vector<std::string> temporaries_below(const std::filesystem::path& folder) {
  std::vector<std::string> found;
  std::error_code error;
  for (std::filesystem::recursive_directory_iterator it(folder, error), end; !error && it != end;
       it.increment(error)) {
    if (it->path().extension() == ".tmp") found.push_back(it->path().string());
  }
  return found;
}

}  // namespace dinomaly
