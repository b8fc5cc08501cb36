// The one rule: tensor <- autograd <- nn <- dinomaly <- {examples, tests, bench}; backends include only
// tensor.
#include <doctest/doctest.h>

#include <filesystem>
#include <fstream>
#include <map>
#include <regex>
#include <set>
#include <string>

namespace fs = std::filesystem;

TEST_CASE("includes go one way") {
  const std::map<std::string, std::set<std::string>> allowed = {
      {"tensor", {"tensor"}},
      {"autograd", {"tensor", "autograd"}},
      {"nn", {"tensor", "autograd", "nn"}},
      {"dinomaly", {"tensor", "autograd", "nn", "dinomaly"}},
      {"backends", {"tensor", "backends"}},
      {"examples", {"tensor", "autograd", "nn", "dinomaly"}},
      {"bench", {"tensor", "autograd", "nn", "dinomaly", "bench"}},
  };
  const std::regex include(R"re(^\s*#\s*include\s*"([a-z_]+)/)re");
  int lines = 0;
  for (const auto& [folder, targets] : allowed) {
    for (const auto& entry : fs::recursive_directory_iterator(fs::path(DINOMALY_SOURCE_DIR) / folder)) {
      const std::string kind = entry.path().extension().string();
      if (kind != ".h" && kind != ".cpp" && kind != ".cu" && kind != ".cuh") continue;
      std::ifstream file(entry.path());
      for (std::string line; std::getline(file, line);) {
        std::smatch found;
        if (!std::regex_search(line, found, include)) continue;
        ++lines;
        CHECK_MESSAGE(targets.contains(found[1]), entry.path().string() << ": " << line);
      }
    }
  }
  CHECK(lines > 100);
}

TEST_CASE("every folder says what lives in it") {
  for (const char* folder : {"tensor", "autograd", "nn", "backends", "dinomaly", "tests", "examples", "bench"}) {
    CHECK_MESSAGE(fs::exists(fs::path(DINOMALY_SOURCE_DIR) / folder / "README.md"), folder);
  }
}
