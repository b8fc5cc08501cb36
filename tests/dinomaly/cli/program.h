// The program `dinomaly` as a user meets it.
#pragma once

#include <doctest/doctest.h>
#include <fmt/format.h>
#include <sys/wait.h>

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <nlohmann/json.hpp>
#include <sstream>
#include <string>
#include <thread>
#include <vector>

#include "dinomaly/base/files.h"
#include "dinomaly/base/framework.h"
#include "dinomaly/model/model_file.h"
#include "dinomaly/synthetic/procedural.h"
#include "tests/dinomaly/small_model.h"
#include "tests/support.h"

namespace dinomaly {

struct Outcome {
  int status;
  std::string out, error;
};

// The flags of a run of `train` with others after them that are meant in place of the earlier ones, which the program itself
// refuses: of each flag with a value but --set, the last.
inline std::string with_last_values(const std::string& flags) {
  std::istringstream stream(flags);
  std::vector<std::string> words, kept;
  for (std::string word; stream >> word;) words.push_back(word);
  for (size_t i = 0; i < words.size(); ++i) {
    const bool has_value =
        words[i].starts_with("--") && i + 1 < words.size() && !words[i + 1].starts_with("--");
    const bool again =
        std::find(words.begin() + static_cast<ptrdiff_t>(i) + 1, words.end(), words[i]) != words.end();
    if (has_value && again && words[i] != "--set")
      ++i;
    else
      kept.push_back(words[i]);
  }
  return fmt::format("{}", fmt::join(kept, " "));
}

// Runs `dinomaly FLAGS` (a shell's words; may hold a redirection of standard input) after
// the shell's `first`.
inline Outcome run_dinomaly(const TemporaryFolder& folder, const std::string& flags,
                            const std::string& first = "") {
  const std::string out = (folder / "stdout").string(), error = (folder / "stderr").string();
  // On a busy machine, threads waiting for each other cost far more than this little work.
  const std::string command =
      first + "OMP_NUM_THREADS=1 " + std::string(DINOMALY_BINARY_DIR) + "/bin/dinomaly " +
      (flags.starts_with("train ") ? with_last_values(flags) : flags) + " >" + out + " 2>" + error;
  const int status = std::system(command.c_str());
  return {WIFEXITED(status) ? WEXITSTATUS(status) : -1, read_file(out, 1 << 24), read_file(error, 1 << 20)};
}

// FOLDER/data: two categories of 64 x 64 pixels; FOLDER/model: a detector with random weights that fits them.
inline void make_small_project(const TemporaryFolder& folder) {
  ProceduralOptions options;
  options.size = 64, options.train = 3, options.good = 4, options.per_defect = 1;
  options.categories = {"weave", "wood"};
  make_dataset(folder / "data", options);
  const auto model = small_model();
  save_model(folder / "model", *model, model->encoder().config());
}

inline std::vector<std::string> lines_in(const std::string& text) {
  std::istringstream stream(text);
  std::vector<std::string> lines;
  for (std::string line; std::getline(stream, line);) lines.push_back(line);
  return lines;
}

// What predict says besides that the model of make_small_project() has no thresholds.
inline std::string without_first_line(const std::string& error) {
  REQUIRE_MESSAGE(contains(error.substr(0, error.find('\n')), "has no thresholds"), error);
  return error.substr(error.find('\n') + 1);
}

// What --json prints.
inline std::vector<nlohmann::json> json_lines_of(const std::string& text) {
  std::vector<nlohmann::json> result;
  for (const std::string& line : lines_in(text)) result.push_back(nlohmann::json::parse(line));
  return result;
}

// Waits until `done` holds; false after ten seconds.
template <class Done>
bool wait_until(Done done) {
  for (int i = 0; i < 200; ++i) {
    if (done()) return true;
    std::this_thread::sleep_for(std::chrono::milliseconds(50));
  }
  return false;
}

}  // namespace dinomaly
