// No op without a case: the names that autograd/ops records are read from its sources.
#include <doctest/doctest.h>

#include <filesystem>
#include <fstream>
#include <regex>
#include <set>
#include <sstream>

#include "tests/ops/op_case.h"

namespace dinomaly {

namespace {

std::string text_of(const std::filesystem::path& path) {
  std::ifstream file(path);
  std::stringstream text;
  text << file.rdbuf();
  return text.str();
}

std::set<std::string> first_groups(const std::string& text, const std::regex& pattern) {
  std::set<std::string> found;
  for (std::sregex_iterator match(text.begin(), text.end(), pattern), end; match != end; ++match) {
    found.insert((*match)[1]);
  }
  return found;
}

}  // namespace

TEST_CASE("every op that can be recorded has an OpCase") {
  std::set<std::string> covered;
  for (const OpCase& test : OpCase::all()) covered.insert(test.op());
  // record("name", ...), and "name" as the first argument of a file's own helper that ends in record(name,
  // ...).
  const std::regex literal(R"re(\b\w+\(\s*"([a-z_0-9]+)")re"), recorded(R"re(\brecord\(\s*([^,]*),)re");
  std::set<std::string> names;
  for (const auto& entry : std::filesystem::directory_iterator(DINOMALY_SOURCE_DIR "/autograd/ops")) {
    if (entry.path().extension() != ".cpp") continue;
    const std::string text = text_of(entry.path());
    names.merge(first_groups(text, literal));
    for (const std::string& argument : first_groups(text, recorded)) {
      INFO(entry.path().filename().string(), ": record(", argument, ", ...)");
      const bool readable = argument.front() == '"' || argument == "name";
      CHECK(readable);
    }
  }
  CHECK(names.size() >= 40);
  for (const std::string& name : names) {
    INFO("op ", name, " has no OpCase in tests/ops");
    CHECK(covered.contains(name));
  }
}

TEST_CASE("every OpCase has its own name and its own numbers") {
  std::set<std::string> seen;
  for (const OpCase& test : OpCase::all()) {
    INFO(test.name);
    CHECK(seen.insert(test.name).second);
    CHECK(reference_inputs(test).size() == test.shapes.size());
  }
}

}  // namespace dinomaly
