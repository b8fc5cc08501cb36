// dinomaly train: what it leaves behind, and that every option does what it says.
#include "tests/dinomaly/cli/train_command.h"

#include <set>

#include "dinomaly/inference/calibrate.h"

using namespace dinomaly;
namespace fs = std::filesystem;
using nlohmann::json;

namespace {

json config_of(const fs::path& model) {
  return json::parse(SafeTensors::load(model).metadata().at("config"));
}

}  // namespace

TEST_CASE("train: the model carries thresholds from good images it has not seen") {
  const TemporaryFolder folder;
  make_training_inputs(folder);
  const Outcome outcome =
      run_well(folder, small_run(folder, "out") + "--iterations 3 --false-alarm-rate 0.25");
  CHECK(contains(outcome.out, "data: MVTec AD (or MPDD)\n"));
  CHECK(contains(outcome.out, "from 4 good and 0 anomalous images"));
  const fs::path model = folder / "out/model.safetensors";
  const Calibration found = load_detector(model).calibration.value();
  CHECK(found.good_images == 4);
  CHECK(found.promised_rate == doctest::Approx(0.2));
  // calibrate finds the same ones in the same images, to the last bit: the image that set one is not above it.
  const Outcome again =
      run_well(folder, fmt::format("calibrate {} {} --false-alarm-rate 0.25 --json --out {}", model.string(),
                                   (folder / "data").string(), (folder / "again.safetensors").string()));
  const auto same = Calibration::from_json(json::parse(again.out), "standard output");
  CHECK(static_cast<float>(same.all.image) == static_cast<float>(found.all.image));
  CHECK(static_cast<float>(same.all.pixel) == static_cast<float>(found.all.pixel));
  CHECK(static_cast<float>(load_detector(folder / "again.safetensors").calibration->all.image) ==
        static_cast<float>(same.all.image));

  run_well(folder, small_run(folder, "f1") + "--iterations 3 --calibrate f1 --per-category");
  const Calibration labelled = load_detector(folder / "f1/model.safetensors").calibration.value();
  CHECK(labelled.method == CalibrationMethod::f1);
  CHECK(labelled.anomalous_images == 10);
  CHECK(labelled.categories.size() == 2);
  run_well(folder, small_run(folder, "none") + "--iterations 3 --calibrate none");
  CHECK_FALSE(load_detector(folder / "none/model.safetensors").calibration);
}

TEST_CASE("train: a plain folder of good images, every fifth held out for the thresholds") {
  const TemporaryFolder folder;
  make_training_inputs(folder);
  const std::string plain = (folder / "data/wood/train/good").string(), out = (folder / "out").string();
  const std::string flags = small_run(folder, "out") + "--iterations 3 ";
  const std::string on_plain = "train " + plain + flags.substr(flags.find(" --encoder"));
  const Outcome outcome = run_well(folder, on_plain);
  CHECK(contains(outcome.out, "good: a plain folder\n"));
  CHECK(contains(outcome.out, "1 good image is held out (every fifth) for the thresholds"));
  CHECK(contains(outcome.out, "5 training images"));
  CHECK(contains(outcome.out, "used for training, not evaluated"));
  CHECK_FALSE(fs::exists(folder / "out/metrics.json"));
  CHECK(load_detector(folder / "out/model.safetensors").calibration);
  CHECK(
      run_dinomaly(folder, "predict " + out + "/model.safetensors " + plain + " --fail-on-anomaly").status <=
      1);
  CHECK(contains(run_well(folder, on_plain + " --calibrate none --force").out, "6 training images"));
}

TEST_CASE("train: labelled images without masks are judged as images") {
  const TemporaryFolder folder;
  make_training_inputs(folder);
  fs::remove_all(folder / "data/wood/ground_truth");
  const Outcome outcome = run_well(folder, small_run(folder, "out") + "--iterations 2");
  CHECK(contains(outcome.out, "wood: test images without masks; no pixel metrics\n"));
  const json wood = json_of(folder / "out/metrics.json").at("categories").at("wood");
  CHECK(wood.at("image_auroc").is_number());
  CHECK(wood.at("aupro").is_null());
  CHECK(json_of(folder / "out/metrics.json").at("categories").at("weave").at("aupro").is_number());
}

TEST_CASE("train and then eval and calibrate and report: a CSV and rearranged VisA as MVTec AD") {
  const TemporaryFolder folder;
  make_training_inputs(folder);
  const fs::path wood = folder / "data/wood", visa = folder / "visa/1cls/wood";
  std::string rows = "path,label,mask,category,split\n";
  for (int i = 0; i < 6; ++i) rows += fmt::format("data/wood/train/good/{:03}.png,good,,wood,train\n", i);
  for (const auto& entry : fs::recursive_directory_iterator(wood / "test")) {
    if (!entry.is_regular_file()) continue;
    const std::string defect = entry.path().parent_path().filename(), id = entry.path().stem();
    const bool good = defect == "good";
    rows += fmt::format("data/wood/test/{0}/{1}.png,{0},{2},wood,test\n", defect, id,
                        good ? "" : fmt::format("data/wood/ground_truth/{}/{}_mask.png", defect, id));
    const std::string name = defect + id + ".png";
    fs::create_directories(visa / "test" / (good ? "good" : "bad"));
    fs::copy(entry.path(), visa / "test" / (good ? "good" : "bad") / name);
    fs::create_directories(visa / "ground_truth/bad");
    if (!good)
      fs::copy(wood / "ground_truth" / defect / (id + "_mask.png"), visa / "ground_truth/bad" / name);
  }
  fs::create_directories(visa / "train");
  fs::copy(wood / "train/good", visa / "train/good");
  write_file(folder / "list.csv", rows);

  const std::string flags = small_run(folder, "out") + "--categories wood --iterations 3 --force ";
  run_well(folder, flags);
  const std::string model = bytes_of(folder / "out/model.safetensors");
  const auto train_on = [&](const std::string& data) {
    return run_well(folder, "train " + (folder / data).string() + flags.substr(flags.find(" --encoder"))).out;
  };
  CHECK(contains(train_on("list.csv"), "list.csv: a CSV list\n"));
  CHECK(SafeTensors::load(folder / "out/model.safetensors")
            .get("decoder.0.mlp.fc1.weight")
            .to_vector<float>()
            .size() > 0);
  CHECK(bytes_of(folder / "out/model.safetensors") == model);
  CHECK(contains(train_on("visa"), "visa: VisA rearranged\n"));

  const std::string path = (folder / "out/model.safetensors").string();
  std::vector<json> numbers;
  for (const char* data : {"data --categories wood", "list.csv", "visa", "visa --layout visa"}) {
    const std::string set = (folder / data).string(), to = (folder / "numbers.json").string();
    for (const char* protocol : {"paper", "official"}) {
      run_well(folder, "eval " + path + " " + set + " --protocol " + protocol + " --json " + to);
      numbers.push_back(json_of(to).at("mean"));
    }
    run_well(folder, "calibrate " + path + " " + set + " --force");  // two images promise little
    run_well(folder, "report " + path + " " + set + " --out " + (folder / "report.html").string());
  }
  for (size_t i = 2; i < numbers.size(); ++i) {
    for (const auto& [name, value] : numbers[i].items()) {
      CHECK(value.get<double>() == doctest::Approx(numbers[i % 2].at(name).get<double>()).epsilon(1e-9));
    }
  }
  check_refused(folder, "eval " + path + " " + (folder / "visa").string() + " --layout real-iad", "realiad");
}

TEST_CASE("train: --config holds every option, flags win, the effective ones are saved and repeat the run") {
  const TemporaryFolder folder;
  make_training_inputs(folder);
  write_file(folder / "run.json", json{{"data", (folder / "data").string()},
                                       {"encoder", (folder / "encoder.safetensors").string()},
                                       {"heads", 2},
                                       {"resize_h", 56},
                                       {"resize_w", 56},
                                       {"crop_h", 56},
                                       {"crop_w", 56},
                                       {"batch", 2},
                                       {"iterations", 50},
                                       {"decoder_depth", 2},
                                       {"map_size", 32},
                                       {"checkpoint_every", 2},
                                       {"categories", {"wood"}},
                                       {"false_alarm_rate", 0.5},
                                       {"out", (folder / "a").string()}}
                                      .dump());
  run_well(folder, "train --config " + (folder / "run.json").string() + " --iterations 4 --set dropout=0.3");
  const json saved = json_of(folder / "a/config.json");
  CHECK(saved.at("iterations") == 4);
  CHECK(saved.at("dropout") == 0.3);
  CHECK(saved.at("checkpoint_every") == 2);
  CHECK(saved.at("false_alarm_rate") == 0.5);
  CHECK(saved.at("preset") == "paper");
  CHECK(saved.at("categories") == json{"wood"});
  CHECK(fs::exists(folder / "a/checkpoints/00000004.safetensors"));
  run_well(folder,
           "train --config " + (folder / "a/config.json").string() + " --out " + (folder / "b").string());
  CHECK(bytes_of(folder / "a/model.safetensors") == bytes_of(folder / "b/model.safetensors"));
  json differs = json_of(folder / "b/config.json");
  differs["out"] = saved.at("out");
  CHECK(differs == saved);
}

TEST_CASE("train: every option of the model reaches it") {
  const TemporaryFolder folder;
  make_training_inputs(folder);
  const std::string flags =
      small_run(folder, "out") + "--iterations 2 --categories wood --checkpoint-every 0 --force ";
  const std::pair<std::string, json> options[] = {
      {"--preset anomalib", {{"preset", "anomalib"}, {"bottleneck_bias", false}, {"blur_reflects", true}}},
      {"--set target_blocks=[0,2,3]", {{"target_blocks", {0, 2, 3}}}},
      {"--set target_blocks=[0,1,3] --set encoder_groups=[[0],[1,2]] --set decoder_groups=[[1],[0]]",
       {{"encoder_groups", {{0}, {1, 2}}}, {"decoder_groups", {{1}, {0}}}}},
      {"--set decoder_depth=3", {{"decoder_depth", 3}}},
      {"--set dropout=0.4", {{"dropout", 0.4}}},
      {"--set remove_class_token=true", {{"remove_class_token", true}}},
      {"--set context_recentering=true", {{"recentering", "anomalib"}}},
      {"--set recentering=dinomaly2", {{"recentering", "dinomaly2"}}},
      {"--set bottleneck_width=7 --set bottleneck_lr_factor=0.5",
       {{"bottleneck_width", 7}, {"bottleneck_lr_factor", 0.5}}},
      {"--preset dinomaly2 --set lr_decay_ratio=0.5",
       {{"preset", "dinomaly2"},
        {"recentering", "dinomaly2"},
        {"bottleneck_width", 256},
        {"amsgrad", false}}},
      {"--resize 84x70 --crop 70x42", {{"resize_h", 84}, {"resize_w", 70}, {"crop_h", 70}, {"crop_w", 42}}},
      {"--mean 0.5,0.5,0.5 --std 0.5,0.25,1", {{"mean", {0.5, 0.5, 0.5}}, {"std", {0.5, 0.25, 1}}}},
      {"--set mining_share=0.5 --set mining_steps=1 --set mining_factor=0",
       {{"mining_share", 0.5}, {"mining_steps", 1}, {"mining_factor", 0}}},
      {"--set learning_rate=0.01 --set warmup_steps=2", {{"learning_rate", 0.01}, {"warmup_steps", 2}}},
      {"--set linear_attention_eps=1e-6", {{"linear_attention_eps", 1e-6}}},
      {"--seed 9", {{"seed", 9}}},
      {"--set init_std=0.1 --set init_cut=0.2", {{"init_std", 0.1}, {"init_cut", 0.2}}}};
  run_well(folder, flags);
  std::set<std::string> models{bytes_of(folder / "out/model.safetensors")};
  for (const auto& [option, expected] : options) {
    run_well(folder, flags + option);
    const json config = config_of(folder / "out/model.safetensors");
    for (const auto& [name, value] : expected.items()) {
      CAPTURE(name);
      CHECK(config.at(name) == value);
    }
    models.insert(bytes_of(folder / "out/model.safetensors"));
    run_well(folder, "predict " + (folder / "out/model.safetensors").string() + " " +
                         (folder / "data/wood/test/good").string() + " --heads 2");
  }
  CHECK(models.size() == std::size(options) + 1);
}

TEST_CASE(
    "train: few-shot training with dinomaly2 goes on with the same bits, and the model works everywhere") {
  const TemporaryFolder folder;
  make_training_inputs(folder);
  const std::string few = "--preset dinomaly2 --shots 3 --batch 16 --resize 64 --set warmup_steps=2 ";
  const Outcome whole = run_well(folder, small_run(folder, "whole") + few + "--iterations 6");
  CHECK_MESSAGE(contains(whole.out, "a batch is all there is to train on: 6 images"), whole.out);
  CHECK_MESSAGE(contains(whole.out, "wood: 3 of 6 training images drawn"), whole.out);
  CHECK_MESSAGE(contains(whole.out,
                         "dinomaly2, single images: 6 iterations, dropout 0.4, bottleneck_lr_factor 0.1, "
                         "images 64x64, crop 56x56\n"),
                whole.out);
  CHECK(contains(whole.out, "no features are kept"));
  run_well(folder, small_run(folder, "parts") + few + "--iterations 3");
  run_well(folder, small_run(folder, "parts") + few + "--iterations 6 --resume");
  const std::string model = (folder / "whole/model.safetensors").string(), data = (folder / "data").string();
  CHECK(bytes_of(model) == bytes_of(folder / "parts/model.safetensors"));
  check_refused(folder,
                small_run(folder, "parts") +
                    "--preset dinomaly2 --shots 2 --resize 64 "
                    "--set warmup_steps=2 --batch 6 --iterations 9 --resume",
                "--resume: option ");
  CHECK(config_of(model).at("batch") == 6);
  CHECK(json_of(folder / "whole/config.json").at("shots") == 3);

  run_well(folder, "predict " + model + " " + data + "/wood/test/good --heads 2");
  run_well(folder, "eval " + model + " " + data + " --json -");
  run_well(folder, "calibrate " + model + " " + data + " --false-alarm-rate 0.3");
  run_well(folder, "report " + model + " " + data + " --out " + (folder / "report").string());
  CHECK(contains(run_well(folder, "info " + model).out, "preset: dinomaly2\n"));
  const std::string exported = (folder / "exported").string();
  run_well(folder, "export " + model + " --to authors --out " + exported);
  CHECK(SafeTensors::load(exported).contains("bottleneck.1.3.bias"));
  check_refused(folder, "export " + model + " --to anomalib --out " + exported, "computes only the preset");

  check_refused(folder, small_run(folder, "other") + "--preset anomalib --shots 2", "--shots");
  check_refused(folder, small_run(folder, "other") + "--shots 2 --feature-dtype int8",
                "with --shots none are");
  check_refused(folder, small_run(folder, "other") + "--shots 7", "category 'weave' has 6 training images");
  check_refused(folder, small_run(folder, "other") + "--shots -1", "--shots: -1 is negative");
}
