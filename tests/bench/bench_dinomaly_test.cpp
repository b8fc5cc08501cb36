// bench_dinomaly as compare.py uses it: one line of JSON, weights that another program can load, turns.
#include <doctest/doctest.h>
#include <sys/wait.h>

#include <nlohmann/json.hpp>

#include "dinomaly/base/files.h"
#include "dinomaly/base/framework.h"
#include "tensor/io/safetensors.h"
#include "tests/support.h"

using namespace dinomaly;
using nlohmann::json;

namespace {

struct Outcome {
  int status;
  std::string output, error;
};

Outcome run(const TemporaryFolder& folder, const std::string& flags, const std::string& input = "") {
  write_file(folder / "stdin", input);
  const auto at = [&](const char* name) { return (folder / name).string(); };
  const std::string command = std::string(DINOMALY_BINARY_DIR) + "/bin/bench_dinomaly " + flags + " <" +
                              at("stdin") + " >" + at("stdout") + " 2>" + at("stderr");
  const int status = std::system(command.c_str());
  return {WIFEXITED(status) ? WEXITSTATUS(status) : -1, read_file(folder / "stdout", 1 << 20),
          read_file(folder / "stderr", 1 << 20)};
}

}  // namespace

TEST_CASE("bench_dinomaly prints one line with times, memory, arithmetic and the flags") {
  const TemporaryFolder folder;
  for (const std::string flags : {"infer --size 28 --batch 2 --repeat 3 --precision bf16",
                                  "train --size 28 --batch 2", "train --size 28 --batch 2 --kept-features"}) {
    CAPTURE(flags);
    const Outcome outcome = run(folder, flags);
    REQUIRE_MESSAGE(outcome.status == 0, outcome.error);
    CHECK(std::count(outcome.output.begin(), outcome.output.end(), '\n') == 1);
    const json line = json::parse(outcome.output);
    CHECK(line.at("seconds_per_image_min").get<double>() > 0);
    CHECK(line.at("seconds_per_image_median") >= line.at("seconds_per_image_min"));
    CHECK(line.at("first_result_seconds") > line.at("seconds_per_image_min"));
    CHECK(line.at("peak_rss_mb").get<double>() > 50);
    CHECK(line.at("gflops_per_second").get<double>() > 0);
    CHECK(line.at("config").at("batch") == 2);
  }
}

TEST_CASE("the arithmetic of ViT-S at 28 x 28 pixels, added up by hand") {
  const TemporaryFolder folder;
  constexpr double d = 384, patches = 4, tokens = 9;
  constexpr double block = 2 * tokens * 12 * d * d + 2 * 2 * tokens * tokens * d;
  constexpr double encode = 2 * patches * d * 3 * 14 * 14 + 10 * block;
  constexpr double bottleneck = 2 * tokens * 8 * d * d;
  constexpr double decoder = 8 * (2 * tokens * 12 * d * d + 2 * 2 * tokens * d * 64);
  const auto gflop = [&](const std::string& flags) {
    return json::parse(run(folder, flags + " --size 28 --repeat 1").output)
        .at("gflop_per_image")
        .get<double>();
  };
  CHECK(gflop("infer") == doctest::Approx((encode + bottleneck + decoder) / 1e9));
  const double step = bottleneck + decoder + 1.5 * bottleneck + 2 * decoder;
  CHECK(gflop("train --kept-features") == doctest::Approx(step / 1e9));
  CHECK(gflop("train") == doctest::Approx((encode + step) / 1e9));
}

TEST_CASE("saved weights give the same scores and losses again, and serve takes turns") {
  const TemporaryFolder folder;
  const std::string file = (folder / "weights.safetensors").string();
  const std::string shape = " --size 28 --batch 2 ";
  for (const std::string work : {"infer", "train"}) {
    CAPTURE(work);
    REQUIRE(run(folder, work + shape + "--repeat 1 --save-weights " + file).status == 0);
    const SafeTensors saved = SafeTensors::load(file);
    CHECK(saved.contains("encoder.blocks.11.ls2.gamma"));
    CHECK(saved.shape("input/images") == Shape{2, 3, 28, 28});
    const Outcome outcome =
        run(folder, work + shape + "--serve --weights " + file, "run\nreset\npeak\njump\n");
    REQUIRE_MESSAGE(outcome.status == 0, outcome.error);
    std::istringstream lines(outcome.output);
    std::vector<json> answers;
    for (std::string line; std::getline(lines, line);) answers.push_back(json::parse(line));
    REQUIRE(answers.size() == 5);
    const json& check = answers[0].at("check");
    for (const char* name : {"map_error", "score_error", "loss_error", "grad_error"}) {
      if (check.contains(name)) CHECK_MESSAGE(check.at(name).get<double>() < 1e-4, name);
    }
    CHECK(check.contains(work == "infer" ? "map_error" : "grad_error"));
    CHECK(answers[1].at("seconds").get<double>() > 0);
    CHECK(answers[3].at("peak_rss_mb").get<double>() > 50);
    CHECK(answers[4].contains("error"));
    // The check can fail: bf16 is another computation.
    const json coarse =
        json::parse(run(folder, work + shape + "--precision bf16 --repeat 1 --weights " + file).output);
    CHECK(coarse.at("check").at(work == "infer" ? "map_error" : "grad_error").get<double>() > 1e-4);
  }
  const Outcome other = run(folder, "infer --size 42 --batch 2 --weights " + file);
  CHECK(other.status == 2);
  CHECK(other.error.find("not (2, 3, 42, 42)") != std::string::npos);
  const Outcome wide = run(folder, "infer --arch base --size 28 --batch 2 --weights " + file);
  CHECK(wide.status == 2);
}

TEST_CASE("wrong flags are one line and status 2") {
  const TemporaryFolder folder;
  const std::pair<const char*, const char*> cases[] = {
      {"", "WORK"},
      {"fly", "'fly'"},
      {"infer --arch tiny", "--arch: 'tiny'"},
      {"infer --size 27", "--size: 27"},
      {"infer --size 14000", "--size: 14000"},
      {"infer --batch 0", "--batch"},
      {"infer --repeat 0", "--repeat"},
      {"infer --precision f64", "--precision: 'f64'"},
      {"infer --precision f16", "f16"},
      {"infer --device tpu", "tpu"},
      {"infer --device cuda:9", "cuda:9"},
      {"infer --threads -1", "--threads"},
      {"infer --kept-features", "--kept-features"},
      {"infer --size 28 --weights absent.safetensors", "absent.safetensors"},
      {"infer --size 28 --save-weights /proc/none/weights.safetensors", "/proc/none"},
  };
  for (const auto& [flags, expected] : cases) {
    CAPTURE(flags);
    const Outcome outcome = run(folder, flags);
    CHECK(outcome.status == 2);
    CHECK(outcome.output.empty());
    CHECK_MESSAGE(outcome.error.find(expected) != std::string::npos, outcome.error);
    CHECK(std::count(outcome.error.begin(), outcome.error.end(), '\n') == 1);
  }
}
