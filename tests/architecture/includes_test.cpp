// The one rule: tensor <- autograd <- nn <- dinomaly <- {examples, tests, bench}; backends include only
// tensor.
#include <doctest/doctest.h>

#include <filesystem>
#include <fstream>
#include <map>
#include <regex>
#include <set>
#include <string>
#include <vector>

#include "tests/support.h"

namespace fs = std::filesystem;
using dinomaly::TemporaryFolder;

namespace {

const std::map<std::string, std::set<std::string>> allowed = {
    {"tensor", {"tensor"}},
    {"autograd", {"tensor", "autograd"}},
    {"nn", {"tensor", "autograd", "nn"}},
    {"dinomaly", {"tensor", "autograd", "nn", "dinomaly"}},
    {"backends", {"tensor", "backends"}},
    {"examples", {"tensor", "autograd", "nn", "dinomaly"}},
    {"bench", {"tensor", "autograd", "nn", "dinomaly", "bench"}},
};

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
        if (climbs || !targets.contains(target))
          result.breaches.push_back(path.lexically_relative(root).string() + ": " + line);
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
  CHECK(breaches_of("nn/up.cpp", "#include <dinomaly/model.h>").size() == 1);
  CHECK(breaches_of("autograd/side.h", "#include \"../nn/module.h\"").size() == 1);
  CHECK(breaches_of("dinomaly/data/tests.cpp", "#include \"tests/support.h\"").size() == 1);
  CHECK(breaches_of("examples/backend.cpp", "#include \"backends/cpu/gemm.h\"").size() == 1);
}

TEST_CASE("every folder says what lives in it") {
  for (const char* folder :
       {"tensor", "autograd", "nn", "backends", "dinomaly", "tests", "examples", "bench"}) {
    CHECK_MESSAGE(fs::exists(fs::path(DINOMALY_SOURCE_DIR) / folder / "README.md"), folder);
  }
}
