// Successful runs of train_mvtec, and wrong flags and weights; damaged data sets: bad_data_test.cpp.
#include <nlohmann/json.hpp>

#include "dinomaly/base/framework.h"
#include "dinomaly/image/image.h"
#include "tensor/io/safetensors.h"
#include "tests/dinomaly/cli/train_program.h"
#include "tests/dinomaly/tiny_encoder.h"

using namespace dinomaly;

TEST_CASE("a small run leaves metrics, log, model and heatmaps, and repeats bit for bit") {
  const TemporaryFolder folder;
  const std::string flags = small_data(folder) + " --threads 2";
  const TrainOutcome outcome = run_training(folder, flags);
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
  std::vector<double> rates;  // the third column
  for (size_t row = log.find('\n'); row + 1 < log.size(); row = log.find('\n', row + 1)) {
    rates.push_back(std::stod(log.substr(log.find(',', log.find(',', row) + 1) + 1)));
  }
  REQUIRE(rates.size() == 3);
  CHECK(rates[0] == 0);
  for (size_t i = 1; i < 3; ++i) CHECK(rates[i] == doctest::Approx(2e-3 * static_cast<double>(i) / 99));
  const SafeTensors model = SafeTensors::load(folder / "out/model.safetensors");
  for (const char* name :
       {"encoder.blocks.0.attn.qkv.weight", "bottleneck.0.fc1.bias", "decoder.7.mlp.fc2.weight"}) {
    CHECK(model.contains(name));
  }
  CHECK(std::filesystem::exists(folder / "out/heatmaps/weave/good_000.png"));
  const std::string first = read_file(folder / "out/model.safetensors", 1 << 26);
  CHECK(run_training(folder, flags).status == 0);
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
  refuses(folder, good + " --batch 0", "--batch: 0");
  refuses(folder, good + " --iterations -1", "--iterations: -1");
  refuses(folder, good + " --iterations many", "--iterations");
  refuses(folder, good + " --preset other", "other");
  refuses(folder, good + " --precision f16", "f16");
  refuses(folder, good + " --mean 1,2", "--mean: 2 values");
  refuses(folder, good + " --mean .5", "--mean: 1 value,");
  refuses(folder, good + " --channels 17", "--channels: 17");
  refuses(folder, good + " one two three", "not expected: one two three\n");
  refuses(folder, good + " --thread 1", "did you mean '--threads'");
  refuses(folder, good + " --heads 5", "5");
  refuses(folder, good + " --colour red", "--colour");
  refuses(folder, good + " --set dropout", "--set");
  refuses(folder, good + " --set dropout=2", "dropout");
  refuses(folder, good + " --set no_such=1", "no_such");
  refuses(folder, good + " --set beta1=1", "beta1");
  refuses(folder, good + " --set target_blocks=[3,12]", "block 12 does not exist");
  refuses(folder, good + " --set remove_class_token=true --set context_recentering=true", "class token");
  refuses(folder, good + " --resize 448x", "--resize");
  refuses(folder, good + " --threads -1", "--threads");
  refuses(folder, good + " --config /nowhere.json", "/nowhere.json");
  const auto config = folder / "run.json";
  for (const char* text : {"", "{", "[1]", R"({"dropuot": 0.1})", R"({"preset": 3})", R"({"batch": "16"})"}) {
    write_file(config, text);
    refuses(folder, good + " --config " + config.string(), "run.json");
  }
}

TEST_CASE("weights that cannot be an encoder") {
  const TemporaryFolder folder;
  const auto path = folder / "encoder.safetensors";
  const std::string flags = small_data(folder) + " --heads 2 --encoder " + path.string();
  const NamedTensors whole = tiny_encoder().tensors;
  refuses(folder, flags, "encoder.safetensors: No such file");
  save_safetensors(path, whole);
  CHECK(run_training(folder, flags).status == 0);
  std::filesystem::remove_all(folder / "out");

  const std::string bytes = read_file(path, 1 << 24);
  for (double share : {0.0, 0.0001, 0.02, 0.5, 0.9999}) {
    write_file(path, bytes);
    cut(path, share);
    refuses(folder, flags, "encoder.safetensors");
  }
  // A header that is longer than the file, or than anything.
  for (const std::string& length : {std::string("\xff\xff\xff\x7f\0\0\0\0", 8), std::string(8, '\xff')}) {
    write_file(path, length + bytes.substr(8));
    refuses(folder, flags, "encoder.safetensors");
  }
  write_file(path, bytes.substr(0, 8) + std::string(bytes.size() - 8, '{'));
  refuses(folder, flags, "encoder.safetensors");

  const auto refuses_changed = [&](const std::string& name, const Tensor& tensor,
                                   const std::string& expected) {
    NamedTensors changed = whole;
    std::erase_if(changed, [&](const auto& entry) { return entry.first == name; });
    if (tensor.defined()) changed.emplace_back(name, tensor);
    save_safetensors(path, changed);
    refuses(folder, flags, expected);
  };
  refuses_changed("blocks.1.attn.qkv.bias", {}, "missing (blocks.1.attn.qkv.bias)");
  refuses_changed("blocks.1.attn.qkv.bias", Tensor::zeros({7}), "misshapen (blocks.1.attn.qkv.bias");
  refuses_changed("patch_embed.proj.weight", Tensor::zeros({32, 17, 14, 14}), "of 17 channels");
  refuses_changed("patch_embed.proj.weight", Tensor::zeros({32, 3, 13, 13}), "patch 13");  // of the crop
  refuses_changed("pos_embed", Tensor::zeros({1, 12, 32}), "pos_embed");
  refuses_changed("cls_token", {}, "cls_token");
  save_safetensors(path, {{"cls_token", Tensor::zeros({1, 1, 8})}});
  refuses(folder, flags, "no ViT encoder");
  std::filesystem::remove(path);
  std::filesystem::create_directory(path);
  refuses(folder, flags, "encoder.safetensors");
}

TEST_CASE("the first step has learning rate 0: after it the weights are the initial ones") {
  const TemporaryFolder folder;
  save_safetensors(folder / "encoder", tiny_encoder().tensors);
  const std::string flags = small_data(folder) + " --heads 2 --encoder " + (folder / "encoder").string();
  std::vector<std::vector<float>> trained;
  for (int steps : {0, 1, 2}) {
    REQUIRE(run_training(folder, fmt::format("{} --iterations {}", flags, steps)).status == 0);
    const SafeTensors model = SafeTensors::load(folder / "out/model.safetensors");
    trained.push_back(model.get("decoder.3.mlp.fc1.weight").to_vector<float>());
  }
  CHECK(trained[0] == trained[1]);
  CHECK(trained[0] != trained[2]);
}
