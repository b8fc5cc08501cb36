// What the fuzzers have found worth keeping (corpus/TARGET, minimised), and their seeds, once each.
#include <doctest/doctest.h>

#include "dinomaly/base/files.h"
#include "dinomaly/base/framework.h"
#include "tests/fuzz/targets.h"
#include "tests/support.h"

using namespace dinomaly;

TEST_CASE("fuzz: the corpus of every target is read or refused") {
  for (const fuzz::Target& target : fuzz::targets()) {
    int64_t inputs = 0;
    const std::filesystem::path corpus =
        std::filesystem::path(DINOMALY_SOURCE_DIR) / "tests/fuzz/corpus" / target.name;
    for (const auto& entry : std::filesystem::directory_iterator(corpus)) {
      CAPTURE(entry.path());
      const std::string bytes = read_file(entry.path(), 1 << 24);
      CHECK_NOTHROW(target.run(bytes));
      ++inputs;
    }
    CHECK_MESSAGE(inputs > 0, target.name);
  }
}

TEST_CASE("fuzz: seeds, with a bit turned and with their end cut off, are read or refused") {
  for (const fuzz::Target& target : fuzz::targets()) {
    for (const auto& [name, bytes] : fuzz::seeds_of(target.name)) {
      CAPTURE(target.name);
      CAPTURE(name);
      CHECK_NOTHROW(target.run(bytes));
      const size_t step = std::max<size_t>(1, bytes.size() / 40);
      for (size_t at = 0; at < bytes.size(); at += step) {
        std::string turned = bytes;
        turned[at] = static_cast<char>(turned[at] ^ (1 << (at % 8)));
        CHECK_NOTHROW(target.run(turned));
        CHECK_NOTHROW(target.run(bytes.substr(0, at)));
      }
    }
  }
}
