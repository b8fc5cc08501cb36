// The program `train_mvtec` as a user runs it: a mistake gives one line on stderr, status 2, and
// no half-written file.
#pragma once

#include <doctest/doctest.h>
#include <sys/wait.h>

#include <algorithm>
#include <cstdlib>
#include <string>

#include "dinomaly/base/files.h"
#include "dinomaly/base/framework.h"
#include "dinomaly/synthetic/procedural.h"
#include "tests/support.h"

namespace dinomaly {

struct TrainOutcome {
  int status;
  std::string error;
};

// Runs `train_mvtec FLAGS --out FOLDER/out`.
inline TrainOutcome run_training(const TemporaryFolder& folder, const std::string& flags) {
  const std::string error = (folder / "stderr").string();
  const std::string command = std::string(DINOMALY_BINARY_DIR) + "/bin/train_mvtec " + flags + " --out " +
                              (folder / "out").string() + " >/dev/null 2>" + error;
  const int status = std::system(command.c_str());
  return {WIFEXITED(status) ? WEXITSTATUS(status) : -1, read_file(error, 1 << 20)};
}

// Draws FOLDER/data, two categories of 64 x 64 pixels; returns flags that train on it in a moment. One
// thread: on a busy machine several that wait for one another cost far more than this little work does.
inline std::string small_data(const TemporaryFolder& folder) {
  ProceduralOptions options;
  options.size = 64, options.train = 6, options.good = 2, options.per_defect = 1;
  options.categories = {"weave", "wood"};
  make_dataset(folder / "data", options);
  return "--data " + (folder / "data").string() +
         " --encoder random --resize 56 --crop 56 --iterations 3 --batch 2 --threads 1";
}

inline void refuses(const TemporaryFolder& folder, const std::string& flags, const std::string& expected) {
  CAPTURE(flags);
  const TrainOutcome outcome = run_training(folder, flags);
  CHECK(outcome.status == 2);
  CHECK_MESSAGE(outcome.error.find(expected) != std::string::npos, outcome.error);
  CHECK_MESSAGE(std::count(outcome.error.begin(), outcome.error.end(), '\n') == 1, outcome.error);
  if (std::filesystem::is_directory(folder / "out")) CHECK(std::filesystem::is_empty(folder / "out"));
}

inline void cut(const std::filesystem::path& path, double share = 2.0 / 3) {
  const std::string bytes = read_file(path, 1 << 24);
  write_file(path, bytes.substr(0, static_cast<size_t>(static_cast<double>(bytes.size()) * share)));
}

}  // namespace dinomaly
