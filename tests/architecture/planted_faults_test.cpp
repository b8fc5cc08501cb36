// The list of scripts/mutate.sh against the tree. A run of it takes hours, so an entry that a change has made
// wrong must be found here.
#include <doctest/doctest.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <map>
#include <set>
#include <sstream>
#include <string>
#include <vector>

#include "tests/support.h"

namespace fs = std::filesystem;
using nabla::TemporaryFolder;

namespace {

std::string read(const fs::path& path) {
  std::ifstream file(path);
  return {std::istreambuf_iterator<char>(file), {}};
}

struct PlantedFault {
  std::string file, tests, old, replacement, why;
};

struct PlantedFaults {
  std::vector<PlantedFault> list;
  std::vector<std::string> objections;
};

PlantedFaults faults_of(std::istream& lines) {
  constexpr std::array<const char*, 5> keys = {"file: ", "tests: ", "old: ", "new:", "why: "};
  PlantedFaults result;
  std::vector<std::string> fields;
  for (std::string line; std::getline(lines, line);) {
    if (line.empty() || line.starts_with('#')) continue;
    const std::string key = keys[fields.size()];
    if (!line.starts_with(key)) {
      result.objections.push_back("expected " + key + " but found " + line);
      fields.clear();
      continue;
    }
    fields.push_back(line.substr(key.size()));
    if (fields.size() < keys.size()) continue;
    result.list.push_back({fields[0], fields[1], fields[2], fields[3], fields[4]});
    fields.clear();
  }
  if (!fields.empty()) result.objections.push_back("the last fault is not complete");
  return result;
}

// The files below tests/ that have test cases.
std::vector<std::string> files_with_cases(const fs::path& root) {
  std::vector<std::string> files;
  for (const auto& entry : fs::recursive_directory_iterator(root / "tests")) {
    const std::string path = entry.path().string();
    if (path.ends_with("_test.cpp") && read(path).find("TEST_CASE(") != std::string::npos)
      files.push_back(path);
  }
  return files;
}

// Whether one of them is the `name` of folder/name.
bool has_test(const std::vector<std::string>& files, const std::string& name) {
  return std::any_of(files.begin(), files.end(),
                     [&](const std::string& file) { return file.ends_with("/" + name + "_test.cpp"); });
}

int64_t occurrences(const std::string& text, const std::string& of) {
  int64_t count = 0;
  for (size_t at = text.find(of); at != std::string::npos; at = text.find(of, at + of.size())) ++count;
  return count;
}

// What is wrong with the list for the tree at `root`.
std::vector<std::string> objections_to(const fs::path& root) {
  std::ifstream lines(root / "scripts/mutations.txt");
  PlantedFaults faults = faults_of(lines);
  const std::vector<std::string> tests = files_with_cases(root);
  std::map<std::string, std::string> texts;
  std::set<std::string> planted;
  for (const PlantedFault& fault : faults.list) {
    const auto object = [&](const std::string& to) {
      faults.objections.push_back(fault.file + ": " + fault.why + ": " + to);
    };
    if (!texts.contains(fault.file)) texts[fault.file] = read(root / fault.file);
    if (occurrences(texts[fault.file], fault.old) != 1) object("not found exactly once: " + fault.old);
    if (!planted.insert(fault.file + fault.old + "\n" + fault.replacement).second) object("planted twice");
    std::istringstream words(fault.tests);
    for (std::string word; words >> word;) {
      const size_t slash = word.find('/');
      if (slash != std::string::npos && !has_test(tests, word.substr(slash + 1))) object("no test " + word);
    }
  }
  if (faults.list.empty()) faults.objections.push_back("no faults");
  return faults.objections;
}

}  // namespace

TEST_CASE("planted faults: the list fits the sources and names tests that exist") {
  for (const std::string& objection : objections_to(DINOMALY_SOURCE_DIR)) FAIL_CHECK(objection);
}

TEST_CASE("planted faults: a text that has changed and a test that is gone are found") {
  const TemporaryFolder root;
  for (const char* folder : {"scripts", "tests/nn"}) fs::create_directories(root / folder);
  std::ofstream(root / "a.cpp") << "int f() { return 1; }\nint g() { return 2; }\nint h() { return 2; }\n";
  std::ofstream(root / "tests/nn/layers_test.cpp") << "TEST_CASE(\"layers\") {}\n";
  std::ofstream(root / "tests/nn/tables_test.cpp") << "const Cases tables;\n";
  const auto objections = [&](const std::string& tests, const std::string& old) {
    std::ofstream(root / "scripts/mutations.txt")
        << "# a comment\n\nfile: a.cpp\ntests: " << tests << "\nold: " << old << "\nnew:\nwhy: f is wrong\n";
    return objections_to(root.path());
  };
  CHECK(objections("nn nn/layers needs:avx2", "return 1;").empty());
  CHECK(objections("nn/layers_test", "return 1;") ==
        std::vector<std::string>{"a.cpp: f is wrong: no test nn/layers_test"});
  CHECK(objections("nn/tables", "return 1;").size() == 1);
  CHECK(objections("nn", "return 3;") ==
        std::vector<std::string>{"a.cpp: f is wrong: not found exactly once: return 3;"});
  CHECK(objections("nn", "return 2;").size() == 1);
  CHECK(objections("nn", "return 1;\nnew:\nwhy: once\nfile: a.cpp\ntests: nn\nold: return 1;") ==
        std::vector<std::string>{"a.cpp: f is wrong: planted twice"});
  CHECK(objections("nn", "return 1;\nold: return 1;").size() >= 1);
}
