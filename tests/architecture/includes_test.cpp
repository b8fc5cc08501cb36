// The one rule: tensor <- autograd <- nn <- dinomaly <- {bindings, examples, tests, bench}; backends include only
// tensor. Inside dinomaly/ it holds between the rooms, in the order in which an image passes through them.
#include <doctest/doctest.h>

#include <algorithm>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <map>
#include <regex>
#include <set>
#include <string>
#include <vector>

#include "tests/support.h"

namespace fs = std::filesystem;
using nabla::TemporaryFolder;

namespace {

const std::map<std::string, std::set<std::string>> allowed = {
    {"tensor", {"tensor"}},
    {"autograd", {"tensor", "autograd"}},
    {"nn", {"tensor", "autograd", "nn"}},
    {"dinomaly", {"tensor", "autograd", "nn", "dinomaly"}},
    {"backends", {"tensor", "backends"}},
    {"bindings", {"tensor", "autograd", "nn", "dinomaly", "include", "bindings"}},
    {"include", {}},
    {"examples", {"tensor", "autograd", "nn", "dinomaly"}},
    {"bench", {"tensor", "autograd", "nn", "dinomaly", "bench"}},
};

// The rooms of dinomaly/: each may include those before it.
const std::vector<std::string> rooms = {
    "base",      "image",      "data",        "synthetic", "weights", "download", "model", "training",
    "inference", "evaluation", "pretraining", "report",    "video",   "alarm",    "serve", "cli"};

// The index of `path` (relative to the root) in the order of rooms; -1 outside them.
int64_t room_of(const std::string& path) {
  if (!path.starts_with("dinomaly/")) return -1;
  const std::string name = path.substr(9, path.find('/', 9) - 9);
  const auto found = std::find(rooms.begin(), rooms.end(), name);
  return found == rooms.end() ? -1 : found - rooms.begin();
}

struct Includes {
  int lines = 0;                      // that include a file of the tree
  std::vector<std::string> breaches;  // "FILE: LINE"
};

Includes includes_below(const fs::path& root) {
  const std::regex include(R"re(^\s*#\s*include\s*["<]((\.\./)*([a-z_]+)/[^">]*)[">])re");
  Includes result;
  for (const auto& [folder, targets] : allowed) {
    if (!fs::exists(root / folder)) continue;
    for (auto entry = fs::recursive_directory_iterator(root / folder); entry != fs::end(entry); ++entry) {
      const fs::path path = entry->path();
      if (path.filename().string().starts_with('.')) {  // bench/.venv
        entry.disable_recursion_pending();
        continue;
      }
      const std::string kind = path.extension().string();
      if (kind != ".h" && kind != ".cpp" && kind != ".cu" && kind != ".cuh") continue;
      std::ifstream file(path);
      for (std::string line; std::getline(file, line);) {
        std::smatch found;
        if (!std::regex_search(line, found, include)) continue;
        const std::string target = found[3];
        const bool climbs = found[2].matched;
        if (!climbs && !allowed.contains(target) && target != "tests") continue;  // a library's header
        ++result.lines;
        const std::string from = path.lexically_relative(root).string();
        const bool to_later_room =
            target == "dinomaly" && folder == target && room_of(from) < room_of(found[1]);
        if (climbs || !targets.contains(target) || to_later_room)
          result.breaches.push_back(from + ": " + line);
      }
    }
  }
  return result;
}

}  // namespace

TEST_CASE("includes go one way") {
  const Includes found = includes_below(DINOMALY_SOURCE_DIR);
  for (const std::string& breach : found.breaches) FAIL_CHECK(breach);
  CHECK(found.lines > 100);
}

TEST_CASE("an include against the rule is found") {
  const TemporaryFolder root;
  const auto breaches_of = [&](const std::string& file, const std::string& line) {
    fs::create_directories((root / file).parent_path());
    std::ofstream(root / file) << "#include \"tensor/tensor.h\"\n#include <vector>\n" << line << "\n";
    const Includes found = includes_below(root.path());
    fs::remove(root / file);
    CHECK(found.lines >= 1);
    return found.breaches;
  };
  CHECK(breaches_of("nn/fine.h", "#include \"autograd/variable.h\"").empty());
  CHECK(breaches_of("nn/io/fine.cpp", "#include <nlohmann/json.hpp>").empty());
  CHECK(breaches_of("tensor/up.h", "#include \"autograd/variable.h\"") ==
        std::vector<std::string>{"tensor/up.h: #include \"autograd/variable.h\""});
  CHECK(breaches_of("backends/cpu/up.cpp", "  #  include \"autograd/ops/ops.h\"").size() == 1);
  CHECK(breaches_of("nn/up.cpp", "#include <dinomaly/model/model.h>").size() == 1);
  CHECK(breaches_of("autograd/side.h", "#include \"../nn/module.h\"").size() == 1);
  CHECK(breaches_of("dinomaly/model/fine.h", "#include \"dinomaly/image/preprocess.h\"").empty());
  CHECK(breaches_of("dinomaly/model/fine.cpp", "#include \"dinomaly/model/model.h\"").empty());
  CHECK(breaches_of("dinomaly/model/up.h", "#include \"dinomaly/training/trainer.h\"").size() == 1);
  CHECK(breaches_of("dinomaly/base/up.h", "#include \"dinomaly/image/image.h\"").size() == 1);
  CHECK(breaches_of("dinomaly/report/up.h", "#include \"dinomaly/cli/program.h\"").size() == 1);
  CHECK(breaches_of("dinomaly/data/tests.cpp", "#include \"tests/support.h\"").size() == 1);
  CHECK(breaches_of("dinomaly/report/up.cpp", "#include \"bindings/held_signals.h\"").size() == 1);
  CHECK(breaches_of("bindings/c/up.cpp", "#include \"backends/cpu/gemm.h\"").size() == 1);
  CHECK(breaches_of("examples/backend.cpp", "#include \"backends/cpu/gemm.h\"").size() == 1);
}

TEST_CASE("dinomaly/ holds its rooms and nothing else") {
  for (const auto& entry : fs::directory_iterator(fs::path(DINOMALY_SOURCE_DIR) / "dinomaly")) {
    const std::string name = entry.path().filename().string();
    if (name == "README.md") continue;
    CHECK_MESSAGE(std::find(rooms.begin(), rooms.end(), name) != rooms.end(), name);
    CHECK_MESSAGE(entry.is_directory(), name);
  }
}

TEST_CASE("every folder says what lives in it") {
  int64_t folders = 0;
  for (const char* top : {"tensor", "autograd", "nn", "backends", "dinomaly", "bindings", "include", "tests",
                          "examples", "bench", "docs", "scripts", "cmake"}) {
    const fs::path root = fs::path(DINOMALY_SOURCE_DIR) / top;
    CHECK_MESSAGE(fs::exists(root / "README.md"), top);
    for (auto entry = fs::recursive_directory_iterator(root); entry != fs::end(entry); ++entry) {
      if (!entry->is_directory()) continue;
      const std::string name = entry->path().filename().string();
      // What Python leaves, an environment of bench/, fuzzing inputs, and headers that stand in
      // for a library's.
      const bool foreign = name.starts_with('.') || name == "__pycache__" || name == "work";
      if (foreign || name == "include" || name == "corpus") {
        entry.disable_recursion_pending();
        continue;
      }
      ++folders;
      CHECK_MESSAGE(fs::exists(entry->path() / "README.md"), entry->path().string());
    }
  }
  CHECK(folders > 30);
}
