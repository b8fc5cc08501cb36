// train_mvtec as a user meets it: what goes wrong is one line on stderr, status 2, and no half-written file.
#include <doctest/doctest.h>
#include <sys/wait.h>

#include <nlohmann/json.hpp>

#include "dinomaly/data/image.h"
#include "dinomaly/data/procedural.h"
#include "dinomaly/files.h"
#include "tensor/io/safetensors.h"
#include "tests/support.h"

using namespace dinomaly;

namespace {

struct Outcome {
  int status;
  std::string error;
};

Outcome run(const TemporaryFolder& folder, const std::string& flags) {
  const std::string error = (folder / "stderr").string();
  const std::string command = std::string(DINOMALY_BINARY_DIR) + "/bin/train_mvtec " + flags + " --out " +
                              (folder / "out").string() + " >/dev/null 2>" + error;
  const int status = std::system(command.c_str());
  return {WIFEXITED(status) ? WEXITSTATUS(status) : -1, read_file(error, 1 << 20)};
}

// A small data set; flags that train on it in a moment.
std::string small_data(const TemporaryFolder& folder) {
  ProceduralOptions options;
  options.size = 64, options.train = 6, options.good = 2, options.per_defect = 1;
  options.categories = {"weave", "wood"};
  make_dataset(folder / "data", options);
  return "--data " + (folder / "data").string() + " --resize 56 --crop 56 --iterations 3 --batch 2";
}

void refuses(const TemporaryFolder& folder, const std::string& flags, const std::string& expected) {
  CAPTURE(flags);
  const Outcome outcome = run(folder, flags);
  CHECK(outcome.status == 2);
  CHECK_MESSAGE(outcome.error.find(expected) != std::string::npos, outcome.error);
  CHECK(std::count(outcome.error.begin(), outcome.error.end(), '\n') == 1);
  if (std::filesystem::exists(folder / "out")) CHECK(std::filesystem::is_empty(folder / "out"));
}

void truncate(const std::filesystem::path& path) {
  const std::string bytes = read_file(path, 1 << 24);
  write_file(path, bytes.substr(0, bytes.size() * 2 / 3));
}

}  // namespace

TEST_CASE("a small run leaves metrics, log, model and heatmaps, and repeats bit for bit") {
  const TemporaryFolder folder;
  const std::string flags = small_data(folder) + " --threads 2";
  const Outcome outcome = run(folder, flags);
  CHECK_MESSAGE(outcome.status == 0, outcome.error);
  const auto metrics = nlohmann::json::parse(read_file(folder / "out/metrics.json", 1 << 20));
  for (const char* name :
       {"image_auroc", "image_ap", "image_f1max", "pixel_auroc", "pixel_ap", "pixel_f1max", "aupro"}) {
    CHECK(metrics.at("categories").at("wood").contains(name));
    CHECK(metrics.at("mean").contains(name));
  }
  CHECK(metrics.at("config").at("iterations") == 3);
  CHECK(metrics.at("seconds").contains("train"));
  const std::string log = read_file(folder / "out/log.csv", 1 << 20);
  CHECK(log.starts_with("iteration,loss,lr,grad_norm,images_per_second\n"));
  CHECK(std::count(log.begin(), log.end(), '\n') == 4);
  const SafeTensors model = SafeTensors::load(folder / "out/model.safetensors");
  for (const char* name :
       {"encoder.blocks.0.attn.qkv.weight", "bottleneck.0.fc1.bias", "decoder.7.mlp.fc2.weight"}) {
    CHECK(model.contains(name));
  }
  CHECK(std::filesystem::exists(folder / "out/heatmaps/weave/good_000.png"));
  const std::string first = read_file(folder / "out/model.safetensors", 1 << 26);
  CHECK(run(folder, flags).status == 0);
  CHECK(read_file(folder / "out/model.safetensors", 1 << 26) == first);
}

TEST_CASE("wrong flags") {
  const TemporaryFolder folder;
  const std::string good = small_data(folder);
  refuses(folder, "--data /nowhere", "/nowhere");
  refuses(folder, good + " --categories glass", "glass");
  refuses(folder, good + " --crop 50", "50");
  refuses(folder, good + " --crop 70", "70");
  refuses(folder, good + " --batch 100", "100");
  refuses(folder, good + " --batch 0", "batch");
  refuses(folder, good + " --iterations -1", "iterations");
  refuses(folder, good + " --iterations many", "--iterations");
  refuses(folder, good + " --preset other", "other");
  refuses(folder, good + " --precision f16", "f16");
  refuses(folder, good + " --mean 1,2", "--mean");
  refuses(folder, good + " --heads 5", "5");
  refuses(folder, good + " --colour red", "--colour");
  refuses(folder, good + " --set dropout", "--set");
  refuses(folder, good + " --set dropout=2", "dropout");
  refuses(folder, good + " --set no_such=1", "no_such");
  refuses(folder, good + " --config /nowhere.json", "/nowhere.json");
}

TEST_CASE("damaged files") {
  const TemporaryFolder folder;
  const std::string good = small_data(folder);
  const auto encoder = folder / "encoder.safetensors";
  refuses(folder, good + " --encoder " + encoder.string(), "encoder.safetensors");
  write_file(encoder, std::string(8, '\xff') + "{}");
  refuses(folder, good + " --encoder " + encoder.string(), "encoder.safetensors");
  save_safetensors(encoder, {{"cls_token", Tensor::zeros({1, 1, 8})}});
  refuses(folder, good + " --encoder " + encoder.string(), "encoder.safetensors");
  truncate(encoder);
  refuses(folder, good + " --encoder " + encoder.string(), "encoder.safetensors");

  const auto test_image = folder / "data/wood/test/burn/000.png";
  const std::string whole = read_file(test_image, 1 << 24);
  truncate(test_image);
  refuses(folder, good, "burn/000.png");
  write_file(test_image, whole);
  save_png(folder / "data/wood/ground_truth/burn/000_mask.png", Image(30, 30, 1));
  refuses(folder, good, "000_mask.png");
  std::filesystem::remove(folder / "data/wood/ground_truth/burn/000_mask.png");
  refuses(folder, good, "burn");
  std::filesystem::remove_all(folder / "data/weave/train/good");
  refuses(folder, good, "weave");
}
