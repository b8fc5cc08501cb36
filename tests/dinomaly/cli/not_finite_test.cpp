// NaN and infinity are never good: whatever holds one is refused by its name, and nothing is written from it.
#include <algorithm>
#include <cmath>
#include <limits>

#include "dinomaly/image/tile_reader.h"
#include "dinomaly/inference/predict.h"
#include "dinomaly/training/checkpoint.h"
#include "tests/dinomaly/cli/train_command.h"
#include "tests/dinomaly/cli/train_program.h"

using namespace dinomaly;
namespace fs = std::filesystem;

namespace {

// Rewrites the file with the first element of that tensor being `value`, its dtype `dtype`.
void spoil(const fs::path& from, const fs::path& to, const std::string& name, double value,
           Dtype dtype = Dtype::f32) {
  const SafeTensors file = SafeTensors::load(from);
  NamedTensors tensors;
  for (const std::string& each : file.names()) {
    Tensor tensor = file.get(each).clone();
    if (each == name) {
      tensor = tensor.to(dtype).clone();
      tensor.reshape({-1}).slice(0, 0, 1).fill(value);
    }
    tensors.emplace_back(each, tensor);
  }
  save_safetensors(to, tensors, file.metadata());
}

bool holds_only_finite(const fs::path& path) {
  const SafeTensors file = SafeTensors::load(path);
  for (const std::string& name : file.names()) {
    const Tensor tensor = file.get(name);
    if (!is_floating(tensor.dtype())) continue;
    for (const double value : tensor.to(Dtype::f64).to_vector<double>()) {
      if (!std::isfinite(value)) return false;
    }
  }
  return true;
}

constexpr double nan_value = std::numeric_limits<double>::quiet_NaN(), infinite = INFINITY;

}  // namespace

TEST_CASE("not finite: a weight of a model is refused by its name, whatever reads it") {
  const TemporaryFolder folder;
  make_small_project(folder);
  const std::string bad = (folder / "bad").string(), data = (folder / "data").string(),
                    out = (folder / "out").string();
  const std::string commands[] = {
      "predict " + bad + " " + data + "/wood/test --fail-on-anomaly --threshold 1",
      "eval " + bad + " " + data,
      "calibrate " + bad + " " + data,
      "report " + bad + " " + data + " --out " + out,
      "info " + bad,
      "export " + bad + " --to authors --out " + out,
      "convert " + bad + " " + out + " --names timm",
      "train " + data + " --encoder " + bad + " --out " + out};
  const auto check_all = [&](const std::string& name, double value, Dtype dtype, bool in_encoder) {
    CAPTURE(name);
    spoil(folder / "model", bad, name, value, dtype);
    const std::string before = bytes_of(bad);
    for (const std::string& command : commands) {
      if (!in_encoder && (command.starts_with("convert") || command.starts_with("train"))) continue;
      check_refused(folder, command, "'" + name.substr(in_encoder ? 8 : 0) + "' is not finite");
      CHECK(bytes_of(bad) == before);
      CHECK_FALSE(fs::is_regular_file(out));
      CHECK_FALSE(fs::exists(folder / "out/model.safetensors"));
    }
  };
  check_all("decoder.7.mlp.fc2.weight", nan_value, Dtype::f32, false);
  check_all("encoder.blocks.1.attn.qkv.weight", infinite, Dtype::f32, true);
  check_all("encoder.pos_embed", nan_value, Dtype::bf16, true);
  check_all("bottleneck.0.fc1.bias", 1e300, Dtype::f64, false);  // no f32
}

TEST_CASE("not finite: encoders of other programs, with what stands beside the blocks") {
  const TemporaryFolder folder;
  NamedTensors tensors = tiny_encoder().tensors;
  tensors.emplace_back("norm.weight", Tensor::full({32}, nan_value));
  tensors.emplace_back("norm.bias", Tensor::zeros({32}));
  save_safetensors(folder / "encoder", tensors);
  check_refused(folder, fmt::format("convert {0}/encoder {0}/out --names timm", folder.path().string()),
                "'norm.weight' is not finite");
  CHECK_FALSE(fs::exists(folder / "out"));
}

// What is finite in 64 bits and not in 32: above such a threshold there is no score.
TEST_CASE("not finite: a threshold or a setting that is too large for 32 bits is refused by its name") {
  const TemporaryFolder folder;
  make_small_project(folder);
  const std::string data = (folder / "data").string(), model = (folder / "model").string();
  run_well(folder, "calibrate " + model + " " + data + " --false-alarm-rate 0.2");
  const SafeTensors file = SafeTensors::load(model);
  NamedTensors tensors;
  for (const std::string& name : file.names()) tensors.emplace_back(name, file.get(name).clone());
  const auto with = [&](const char* part, const std::string& pointer, double value) {
    auto metadata = file.metadata();
    nlohmann::json json = nlohmann::json::parse(metadata.at(part));
    json[nlohmann::json::json_pointer(pointer)] = value;
    metadata[part] = json.dump();
    save_safetensors(folder / "spoilt", tensors, metadata);
  };
  const std::string spoilt = (folder / "spoilt").string();
  const std::string commands[] = {"predict " + spoilt + " " + data + "/wood/test/good --fail-on-anomaly",
                                  "eval " + spoilt + " " + data,
                                  "report " + spoilt + " " + data + " --out " + (folder / "out").string()};
  for (const char* pointer :
       {"/thresholds/image", "/thresholds/pixel", "/colours/high", "/false_alarm_rate"}) {
    with("calibration", pointer, 1e39);
    for (const std::string& command : commands) check_refused(folder, command, "of its calibration is 1e+39");
  }
  with("calibration", "/promised_rate", -0.5);
  check_refused(folder, commands[0], "'promised_rate' of its calibration is -0.5, not between 0 and 1");
  for (const char* name : {"blur_sigma", "decoder_norm_eps", "linear_attention_eps", "adam_eps"}) {
    with("config", std::string("/") + name, 1e39);
    check_refused(folder, commands[0], std::string(name) + ": 1e+39 is no finite number of 32 bits");
  }
  make_training_inputs(folder);
  check_refused(folder, small_run(folder, "run") + "--iterations 1 --set decoder_norm_eps=1e39",
                "decoder_norm_eps: 1e+39 is no finite number of 32 bits");
}

// A model whose weights are finite, but which multiplies what is brighter than black by 1e39.
TEST_CASE("not finite: an image whose map overflows is named and counted, the others are judged") {
  const TemporaryFolder folder;
  make_small_project(folder);
  const SafeTensors file = SafeTensors::load(folder / "model");
  auto metadata = file.metadata();
  nlohmann::json config = nlohmann::json::parse(metadata.at("config"));
  config["mean"] = {0, 0, 0}, config["std"] = {1e-39, 1e-39, 1e-39};
  metadata["config"] = config.dump();
  NamedTensors tensors;
  for (const std::string& name : file.names()) tensors.emplace_back(name, file.get(name));
  save_safetensors(folder / "overflows", tensors, metadata);
  save_png(folder / "images/a.png", Image(64, 64, 3));
  fs::copy(folder / "data/wood/test/good/000.png", folder / "images/b.png");
  save_png(folder / "images/c.png", Image(64, 64, 3));
  const std::string model = (folder / "overflows").string(),
                    call = "predict " + model + " " + (folder / "images").string() +
                           " --threshold 3 --fail-on-anomaly --batch 2";
  for (const char* flags : {"", " --tile 64"}) {
    const Outcome text = run_dinomaly(folder, call + flags);
    CHECK(text.status == 2);
    CHECK_MESSAGE(contains(text.out, "images/a.png\n"), text.out);
    CHECK(contains(text.out, "images/c.png\n"));
    CHECK_FALSE(contains(text.out, "b.png"));
    CHECK_MESSAGE(contains(text.error, "b.png: its anomaly map is not finite"), text.error);
    CHECK_MESSAGE(contains(text.error, "1 of 3 files was not judged\n"), text.error);
  }
  const Outcome json = run_dinomaly(folder, call + " --json");
  CHECK(contains(json.out, "\"error\""));
  CHECK_FALSE(contains(json.out, "\"score\":null"));
  // Of a data set, all that would be computed from it is worth nothing.
  const std::string data = (folder / "data").string();
  check_refused(folder, "eval " + model + " " + data, "its anomaly map is not finite");
  check_refused(folder, "eval " + model + " " + data + " --protocol official",
                "its anomaly map is not finite");
  const std::string before = bytes_of(model);
  check_refused(folder, "calibrate " + model + " " + data + " --false-alarm-rate 0.2",
                "its anomaly map is not finite");
  CHECK(bytes_of(model) == before);
}

TEST_CASE(
    "not finite: training that diverges ends with status 2, whenever it does, and saves nothing of it") {
  const TemporaryFolder folder;
  make_training_inputs(folder);
  const std::string steep = " --set learning_rate=1e38 --set final_learning_rate=1e38 --set warmup_steps=0 ";
  for (const char* more : {"", "--eval-every 1 --keep-best aupro", "--precision bf16", "--feature-dtype int8",
                           "--calibrate none", "--preset anomalib"}) {
    CAPTURE(more);
    for (int iterations = 1; iterations <= 4; ++iterations) {
      CAPTURE(iterations);
      const Outcome outcome =
          run_dinomaly(folder, small_run(folder, "out") + steep +
                                   fmt::format("--checkpoint-every 1 --iterations {} {}", iterations, more));
      CHECK(outcome.status == 2);
      CHECK_MESSAGE(contains(outcome.error, "training diverged in iteration "), outcome.error);
      CHECK(std::count(outcome.error.begin(), outcome.error.end(), '\n') == 1);
      CHECK_FALSE(fs::exists(folder / "out/model.safetensors"));
      for (const auto& entry : fs::recursive_directory_iterator(folder / "out")) {
        if (entry.path().extension() == ".safetensors") CHECK(holds_only_finite(entry.path()));
      }
      fs::remove_all(folder / "out");
    }
  }
  const std::string plain =
      small_data(folder) + " --set learning_rate=1e38 --set warmup_steps=0 --iterations ";
  for (int iterations = 1; iterations <= 4; ++iterations) {
    const TrainOutcome outcome = run_training(folder, plain + std::to_string(iterations));
    CHECK(outcome.status == 2);
    CHECK_MESSAGE(contains(outcome.error, "training diverged in iteration "), outcome.error);
    CHECK_FALSE(fs::exists(folder / "out/model.safetensors"));
  }
}

TEST_CASE(
    "not finite: steps are skipped with dinomaly2, but a run that has diverged is an error there, too") {
  const TemporaryFolder folder;
  make_training_inputs(folder);
  for (const int iterations : {3, 40}) {  // by its weights at the end, or by skipped steps in a row
    const Outcome outcome =
        run_dinomaly(folder, small_run(folder, "out") +
                                 "--preset dinomaly2 --set learning_rate=1e38 --set warmup_steps=0 " +
                                 fmt::format("--iterations {} --checkpoint-every 0", iterations));
    CHECK(outcome.status == 2);
    CHECK_MESSAGE(contains(outcome.error, "training diverged"), outcome.error);
    CHECK_MESSAGE(contains(outcome.error, "its gradients are not finite; the step is skipped\n"),
                  outcome.error);
    CHECK_FALSE(fs::exists(folder / "out/model.safetensors"));
    fs::remove_all(folder / "out");
  }
}

TEST_CASE("not finite: the model and the checkpoints of before stay when a run diverges") {
  const TemporaryFolder folder;
  make_training_inputs(folder);
  const std::string flags = small_run(folder, "out") + "--iterations 4 --checkpoint-every 2 ";
  run_well(folder, flags);
  const std::string model = bytes_of(folder / "out/model.safetensors");
  const Outcome outcome =
      run_dinomaly(folder, flags + "--force --set learning_rate=1e38 --set warmup_steps=0");
  CHECK(outcome.status == 2);
  CHECK(bytes_of(folder / "out/model.safetensors") == model);
}

TEST_CASE("not finite: a checkpoint is refused with the name of its tensor, and left alone") {
  const TemporaryFolder folder;
  make_training_inputs(folder);
  const std::string flags = small_run(folder, "out") + "--iterations 4 --checkpoint-every 2 ";
  run_well(folder, flags);
  const fs::path checkpoints = folder / "out/checkpoints", last = checkpoints / "00000004.safetensors";
  Checkpoint saved = CheckpointFolder(checkpoints).latest().value();
  for (const std::string name : {"model.decoder.1.norm1.weight", "optimizer.second_moment.3"}) {
    const Tensor whole = saved.tensors.at(name), spoiled = whole.clone();
    spoiled.reshape({-1}).slice(0, 0, 1).fill(nan_value);
    saved.tensors[name] = spoiled;
    CheckpointFolder(checkpoints).save(4, {saved.tensors.begin(), saved.tensors.end()}, saved.texts);
    saved.tensors[name] = whole;
    const std::string bytes = bytes_of(last), model = bytes_of(folder / "out/model.safetensors");
    check_refused(folder, flags + "--resume", "00000004.safetensors: '" + name + "' is not finite");
    check_refused(folder, "info " + last.string(), "'" + name + "' is not finite");
    CHECK(bytes_of(last) == bytes);
    CHECK(bytes_of(folder / "out/model.safetensors") == model);
  }
}

TEST_CASE("not finite: a library's model is not saved, and Config takes no such number") {
  const TemporaryFolder folder;
  const auto model = small_model();
  model->trained_parameters().at(3).value().fill(nan_value);
  CHECK(one_line_with(input_error([&] { save_model(folder / "model", *model, model->encoder().config()); }),
                      "model: not written: '"));
  CHECK_FALSE(fs::exists(folder / "model"));
  for (double Config::*field :
       {&Config::learning_rate, &Config::weight_decay, &Config::blur_sigma, &Config::clip_norm,
        &Config::adam_eps, &Config::init_std, &Config::decoder_norm_eps}) {
    for (const double value : {nan_value, infinite, -infinite}) {
      Config config;
      config.*field = value;
      CHECK_FALSE(input_error([&] { config.complete(12, 14); }).empty());
    }
  }
}

TEST_CASE("not finite: a library's prediction is refused by its image's path, or its place") {
  const EncoderWeights weights = tiny_encoder();
  Config config = small_model()->config();
  config.image.mean = {0, 0, 0}, config.image.std = {1e-39, 1e-39, 1e-39};
  Dinomaly model(weights.config, config);
  load_encoder_weights(model.encoder(), weights, "random encoder");
  Image bright(64, 64, 3);
  std::fill(bright.pixels.begin(), bright.pixels.end(), uint8_t{200});
  for (const Inspection& inspection : {Inspection{}, Inspection{{32, 8}}}) {
    const Predictor predictor(model, inspection);
    CHECK(std::isfinite(predictor.predict(Image(64, 64, 3)).score));
    CHECK(one_line_with(input_error([&] { predictor.predict(bright); }),
                        "image 1: its anomaly map is not finite"));
    std::vector<InputImage> images(2);
    for (size_t i = 0; i < 2; ++i) {
      images[i].width = images[i].height = 64;
      images[i].inputs = predictor.inputs(i == 0 ? Image(64, 64, 3) : bright);
    }
    CHECK(one_line_with(input_error([&] { predictor.predict(images); }), "image 2: its anomaly map"));
    images[1].path = "folder/b.png";
    CHECK(one_line_with(input_error([&] { predictor.predict(images); }), "folder/b.png: its anomaly map"));
    const std::vector<Prediction> each = predictor.predict_each(images);
    CHECK(images[0].error.empty());
    CHECK(each[0].is_finite());
    CHECK(one_line_with(images[1].error, "folder/b.png: its anomaly map"));
  }
  const TemporaryFolder folder;
  save_png(folder / "b.png", bright);
  InputImage in_strips;
  in_strips.path = folder / "b.png";
  in_strips.tiles = std::make_shared<TileReader>(open_picture(folder / "b.png"), PixelRules{}, Tiling{32, 8});
  CHECK(one_line_with(input_error([&] {
                        Predictor(model, {{32, 8}}).predict(std::vector<InputImage>{in_strips});
                      }),
                      "b.png: its anomaly map is not finite"));
}
