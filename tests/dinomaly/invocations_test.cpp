// Wrong invocations of the program: each ends with the stated status and one line that says what was wrong.
#include <doctest/doctest.h>

#include <algorithm>

#include "tests/dinomaly/program.h"

using namespace dinomaly;

namespace {

struct Invocation {
  const char* flags;     // MODEL, DATA, OUT and GOOD (a picture) stand for paths that exist; OUT does not yet
  const char* expected;  // a part of the line
  int status = 2;
};

constexpr Invocation wrong[] = {
    {"", "A subcommand is required"},
    {"no-such-command", "no-such-command"},
    {"predict", "MODEL"},
    {"predict MODEL", "no pictures"},
    {"predict MODEL GOOD --no-such-flag", "--no-such-flag"},
    {"predict /nowhere.safetensors GOOD", "/nowhere.safetensors"},
    {"predict GOOD GOOD", "000.png"},
    {"predict DATA GOOD", "data"},
    {"predict MODEL MODEL.folder", "no such file"},
    {"predict MODEL EMPTY", "no pictures"},
    {"predict MODEL - - </dev/null", "twice"},
    {"predict MODEL GOOD --maps png", "png"},
    {"predict MODEL GOOD --maps tiff", "--out"},
    {"predict MODEL GOOD --tile 4", "--tile"},
    {"predict MODEL GOOD --tile 64 --overlap 40", "--overlap"},
    {"predict MODEL GOOD --overlap 40", "--overlap"},
    {"predict MODEL GOOD --tile many", "--tile"},
    {"predict MODEL GOOD --threshold high", "--threshold"},
    {"predict MODEL GOOD --fail-on-anomaly", "not calibrated"},
    {"predict MODEL GOOD --category wood", "not calibrated"},
    {"predict MODEL GOOD --min-area 0", "--min-area"},
    {"predict MODEL GOOD --batch 0", "--batch"},
    {"predict MODEL GOOD --batch -3", "--batch"},
    {"predict MODEL GOOD --threads -1", "--threads"},
    {"predict MODEL GOOD --device tpu", "tpu"},
    {"predict MODEL GOOD --heads 5", "5"},
    {"predict MODEL GOOD --encoder /nowhere", "encoder"},
    {"predict MODEL --watch /nowhere", "/nowhere"},
    {"predict MODEL --watch EMPTY --out EMPTY", "watched"},
    {"predict MODEL GOOD --out GOOD/below", "cannot make"},
    {"eval", "MODEL"},
    {"eval MODEL", "DATA"},
    {"eval MODEL /nowhere", "/nowhere"},
    {"eval MODEL EMPTY", "empty"},
    {"eval MODEL DATA --protocol both", "both"},
    {"eval MODEL DATA --categories glass", "glass"},
    {"eval MODEL DATA --categories wood,wood", "wood"},
    {"eval MODEL DATA --tile 64", "--tile"},
    {"eval MODEL DATA --json", "--json"},
    {"eval MODEL DATA --csv GOOD/below", "below"},
    {"eval EMPTY DATA", "--protocol official"},
    {"eval EMPTY DATA --protocol official", "tiff"},
    {"eval EMPTY DATA --protocol official --export-maps OUT", "--export-maps"},
    {"calibrate", "MODEL"},
    {"calibrate MODEL", "DATA"},
    {"calibrate MODEL DATA --method guess", "guess"},
    {"calibrate MODEL DATA --false-alarm-rate 0", "--false-alarm-rate"},
    {"calibrate MODEL DATA --false-alarm-rate 1.5", "--false-alarm-rate"},
    {"calibrate MODEL DATA --false-alarm-rate low", "--false-alarm-rate"},
    {"calibrate MODEL DATA --split half", "half"},
    {"calibrate MODEL DATA --split train --method f1", "F1"},
    {"calibrate MODEL DATA --out GOOD/below", "below"},
    {"report MODEL DATA", "--out"},
    {"report MODEL DATA --out GOOD/below", "below"},
    {"report MODEL DATA --out OUT --log /nowhere.csv", "/nowhere.csv"},
    {"report MODEL DATA --out OUT --log GOOD", "training log"},
    {"report MODEL DATA --out OUT --pictures -1", "--pictures"},
    {"make-dataset", "DIR"},
    {"make-dataset OUT --categories glass", "glass"},
    {"make-dataset GOOD", "000.png"},
};

std::string with_paths(std::string flags, const TemporaryFolder& folder) {
  const std::pair<std::string, std::string> names[] = {
      {"MODEL", (folder / "model").string()},
      {"DATA", (folder / "data").string()},
      {"OUT", (folder / "out").string()},
      {"EMPTY", (folder / "empty").string()},
      {"GOOD", (folder / "data/wood/test/good/000.png").string()}};
  for (const auto& [name, path] : names) {
    for (size_t at = 0; (at = flags.find(name, at)) != std::string::npos; at += path.size())
      flags.replace(at, name.size(), path);
  }
  return flags;
}

}  // namespace

TEST_CASE("wrong invocations are one clear line and the right status") {
  const TemporaryFolder folder;
  make_small_project(folder);
  std::filesystem::create_directories(folder / "empty");
  const std::string model = read_file(folder / "model", 1 << 24);
  for (const Invocation& invocation : wrong) {
    const std::string flags = invocation.flags;
    CAPTURE(flags);
    const Outcome outcome = run_dinomaly(folder, with_paths(invocation.flags, folder));
    CHECK(outcome.status == invocation.status);
    CHECK_MESSAGE(outcome.error.find(invocation.expected) != std::string::npos, outcome.error);
    CHECK_MESSAGE(std::count(outcome.error.begin(), outcome.error.end(), '\n') == 1, outcome.error);
    CHECK(outcome.error.starts_with("dinomaly: "));
    CHECK(read_file(folder / "model", 1 << 24) == model);
    CHECK(std::filesystem::is_empty(folder / "empty"));
    const std::filesystem::path out = folder / "out";
    if (std::filesystem::exists(out)) CHECK(std::filesystem::is_empty(out));
  }
}

TEST_CASE("every command explains itself, with examples") {
  const TemporaryFolder folder;
  for (const std::string command : {"predict", "eval", "calibrate", "report", "make-dataset"}) {
    const Outcome outcome = run_dinomaly(folder, command + " --help");
    CHECK(outcome.status == 0);
    CHECK(outcome.out.find("dinomaly " + command + " ") != std::string::npos);
    CHECK(outcome.out.find("Example") != std::string::npos);
    CHECK(outcome.error.empty());
  }
}
