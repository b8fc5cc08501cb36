#include <doctest/doctest.h>

#include <cmath>
#include <functional>
#include <nlohmann/json.hpp>

#include "dinomaly/base/files.h"
#include "dinomaly/base/framework.h"
#include "dinomaly/model/detector_export.h"
#include "dinomaly/model/model_file.h"
#include "dinomaly/report/describe_file.h"
#include "dinomaly/weights/encoder_hash.h"
#include "dinomaly/weights/encoder_naming.h"
#include "tensor/io/safetensors.h"
#include "tests/dinomaly/cli/program.h"
#include "tests/dinomaly/small_detector.h"
#include "tests/support.h"

using namespace dinomaly;

namespace {

// The small detector's encoder with a final norm and a mask token.
EncoderWeights whole_encoder(int64_t registers) {
  EncoderWeights weights = SmallDetector(Preset::paper, registers).encoder;
  const int64_t width = weights.config.width;
  weights.unused = {{"norm.weight", Tensor::full({width}, 2)},
                    {"norm.bias", Tensor::ones({width})},
                    {"mask_token", Tensor::ones({1, width})}};
  return weights;
}

// anomalib's module lists the trained parts twice, and holds the kernel of its blur.
void check_repeated_parts(const std::filesystem::path& path, const Dinomaly& model) {
  const SafeTensors file = SafeTensors::load(path);
  for (const auto& [name, parameter] : model.named_trained_parameters()) {
    const std::string rest = name.substr(name.find('.') + 1);
    const char* place = name.starts_with("bottleneck.") ? "trainable_modules.0." : "trainable_modules.1.";
    CAPTURE(name);
    REQUIRE(file.contains(place + rest));
    CHECK(file.get(place + rest).to_vector<float>() == parameter.value().to_vector<float>());
  }
  // exp(-(x^2 + y^2) / (2 * 4^2)) at the middle and at a corner of the 5 x 5 kernel.
  const std::vector<float> kernel = file.get("model.gaussian_blur.kernel").to_vector<float>();
  REQUIRE(kernel.size() == 25);
  CHECK(kernel[0] / kernel[12] == doctest::Approx(std::exp(-8.0 / 32)).epsilon(1e-5));
}

}  // namespace

TEST_CASE("an encoder goes to every library's names and comes back") {
  for (const int64_t registers : {0, 4}) {
    const EncoderWeights weights = whole_encoder(registers);
    const std::string hash = encoder_sha256(weights.tensors);
    for (const Naming naming : {Naming::meta, Naming::timm, Naming::transformers}) {
      CAPTURE(static_cast<int>(naming));
      const NamedTensors named = named_as(weights, naming);
      const EncoderWeights back = load_encoder({named.begin(), named.end()}, "back", weights.config.heads);
      const bool folded = naming == Naming::timm && registers > 0;
      CHECK(back.config.cls_in_position_table == !folded);
      CHECK(back.unused.contains("mask_token") == (naming != Naming::timm));
      CHECK(back.unused.at("norm.weight").to_vector<float>() == std::vector<float>(8, 2.0f));
      if (!folded) {
        CHECK(encoder_sha256(back.tensors) == hash);
        continue;
      }
      const std::map<std::string, Tensor> before(weights.tensors.begin(), weights.tensors.end()),
          after(back.tensors.begin(), back.tensors.end());
      const std::vector<float> cls = before.at("cls_token").to_vector<float>(),
                               place = before.at("pos_embed").slice(1, 0, 1).to_vector<float>(),
                               sum = after.at("cls_token").to_vector<float>();
      for (size_t i = 0; i < sum.size(); ++i) CHECK(sum[i] == cls[i] + place[i]);
      CHECK(place != std::vector<float>(8, 0.0f));
      // The sum of CLS and its position is all that is left; as a table's row of zeros it is
      // the same encoder.
      const NamedTensors again = named_as(back, Naming::meta);
      const std::map<std::string, Tensor> meta(again.begin(), again.end());
      const std::vector<float> row = meta.at("pos_embed").slice(1, 0, 1).to_vector<float>();
      CHECK(row == std::vector<float>(8, 0.0f));
      CHECK(load_encoder(meta, "again", 2).config == weights.config);
    }
  }
}

TEST_CASE("an exported detector comes back as it was, under the other implementation's names") {
  const TemporaryFolder folder;
  for (const auto& [preset, kind] :
       {std::pair{Preset::paper, DetectorKind::authors}, std::pair{Preset::dinomaly2, DetectorKind::authors},
        std::pair{Preset::anomalib, DetectorKind::anomalib}}) {
    SmallDetector small(preset, 4);
    Detector detector;
    detector.model = std::move(small.model);
    detector.calibration = Calibration{.all = {1.5, 0.25}};
    const auto path = folder / "exported.safetensors";
    export_detector(path, detector, kind);
    const Detector back = load_detector(path);
    CHECK(back.kind == kind);
    CHECK(back.calibration == detector.calibration);
    CHECK(back.config().to_json() == detector.config().to_json());
    const auto ours = detector.model->named_trained_parameters(),
               theirs = back.model->named_trained_parameters();
    REQUIRE(ours.size() == theirs.size());
    for (size_t i = 0; i < ours.size(); ++i) {
      CHECK(ours[i].first == theirs[i].first);
      CHECK(ours[i].second.value().to_vector<float>() == theirs[i].second.value().to_vector<float>());
    }
    if (kind == DetectorKind::anomalib) check_repeated_parts(path, *detector.model);
    const DetectorKind other = kind == DetectorKind::authors ? DetectorKind::anomalib : DetectorKind::authors;
    CHECK(one_line_with(input_error([&] { export_detector(path, detector, other); }), "preset"));
  }
}

TEST_CASE("export names the option that the other code does not compute, and writes what it does") {
  const TemporaryFolder folder;
  const auto path = folder / "exported.safetensors";
  const auto message = [&](Preset preset, const std::function<void(Config&)>& change, int64_t channels = 3) {
    EncoderConfig shape = SmallDetector(preset).encoder.config;
    shape.channels = channels;
    Config config = Config::with_preset(preset);
    config.image.resize_h = config.image.resize_w = 16;
    config.image.crop_h = config.image.crop_w = 12;
    change(config);
    Detector detector;
    detector.model = std::make_unique<Dinomaly>(shape, config);
    const DetectorKind target = preset == Preset::anomalib ? DetectorKind::anomalib : DetectorKind::authors;
    std::filesystem::remove(path);
    const std::string error = input_error([&] { export_detector(path, detector, target); });
    CHECK(std::filesystem::exists(path) == error.empty());
    return error;
  };
  const auto refuses = [&](Preset preset, const std::function<void(Config&)>& change, const std::string& what,
                           int64_t channels = 3) {
    const std::string error = message(preset, change, channels);
    const bool anomalib = preset == Preset::anomalib;
    const std::string expected =
        fmt::format("export --to {}: {}, which {} code does not compute", anomalib ? "anomalib" : "authors",
                    what, anomalib ? "anomalib's" : "the authors'");
    CHECK_MESSAGE(error == expected, error);
  };
  const auto exports = [&](Preset preset, const std::function<void(Config&)>& change) {
    const std::string error = message(preset, change);
    CHECK_MESSAGE(error.empty(), error);
  };
  constexpr Preset all[] = {Preset::paper, Preset::dinomaly2, Preset::anomalib};
  for (const Preset preset : all) {
    refuses(
        preset, [](Config&) {}, "'channels' is 5", 5);
    exports(preset, [](Config& c) {
      c.target_blocks = {1, 3, 5}, c.decoder_depth = 3, c.dropout = 0.1, c.blur_sigma = 2;
    });
  }
  for (const Preset preset : {Preset::paper, Preset::dinomaly2}) {
    refuses(
        preset, [](Config& c) { c.recentering = Recentering::anomalib; }, "'recentering' is anomalib");
    refuses(
        preset, [](Config& c) { c.blur_reflects = true; }, "'blur_reflects' is true");
    refuses(
        preset, [](Config& c) { c.image.crop_w = 14; }, "'crop_w' is 14");
    refuses(
        preset, [](Config& c) { c.softmax_attention = true; }, "'softmax_attention' is true");
    exports(preset, [](Config& c) {
      c.map_size = 64, c.blur_size = 3, c.score_ratio = 0, c.decoder_norm_eps = 1e-6;
    });
  }
  for (const Preset preset : {Preset::paper, Preset::anomalib}) {
    refuses(
        preset, [](Config& c) { c.with_depth = true; }, "'with_depth' is true");
    refuses(
        preset, [](Config& c) { c.recentering = Recentering::dinomaly2; }, "'recentering' is dinomaly2");
    refuses(
        preset, [](Config& c) { c.linear_attention_eps = 1e-6; }, "'linear_attention_eps' is 1e-06");
    refuses(
        preset, [](Config& c) { c.bottleneck_width = 4; }, "'bottleneck_width' is 4");
    refuses(
        preset, [](Config& c) { c.bottleneck_bias = !c.bottleneck_bias; },
        preset == Preset::paper ? "'bottleneck_bias' is false" : "'bottleneck_bias' is true");
  }
  exports(Preset::dinomaly2, [](Config& c) { c.with_depth = true; });  // its RGB-3D model
  exports(Preset::dinomaly2, [](Config& c) { c.recentering = Recentering::none; });
  exports(Preset::anomalib, [](Config& c) { c.recentering = Recentering::anomalib; });
  refuses(
      Preset::anomalib, [](Config& c) { c.map_size = 64; }, "'map_size' is 64");
  refuses(
      Preset::anomalib, [](Config& c) { c.blur_size = 3; }, "'blur_size' is 3");
  refuses(
      Preset::anomalib, [](Config& c) { c.score_ratio = 0; }, "'score_ratio' is 0");
  refuses(
      Preset::anomalib, [](Config& c) { c.decoder_norm_eps = 1e-6; }, "'decoder_norm_eps' is 1e-06");
}

TEST_CASE("dinomaly info, convert and export from the command line") {
  const TemporaryFolder folder;
  const SmallDetector small(Preset::paper, 4);
  const std::string model = (folder / "model.safetensors").string(),
                    slim = (folder / "slim.safetensors").string();
  ModelFileOptions options;
  options.calibration = Calibration{.all = {1.5, 0.25}};
  save_model(model, *small.model, small.encoder.config, options);
  options.slim = true;
  save_model(slim, *small.model, small.encoder.config, options);
  const std::string encoder = (folder / "encoder.safetensors").string();

  Outcome outcome = run_dinomaly(folder, "convert " + model + " " + encoder + " --names transformers");
  CHECK_MESSAGE(outcome.status == 0, outcome.error);
  CHECK(SafeTensors::load(encoder).contains("encoder.layer.7.attention.attention.query.weight"));
  CHECK(load_detector(slim, encoder).calibration == options.calibration);

  outcome = run_dinomaly(folder, "info --json " + model);
  CHECK(outcome.status == 0);
  const auto info = nlohmann::json::parse(outcome.out);
  CHECK(info.at("kind") == "detector");
  CHECK(info.at("encoder").at("heads") == 2);
  CHECK(info.at("encoder").at("registers") == 4);
  CHECK(info.at("detector").at("preset") == "paper");
  CHECK(info.at("detector").at("slim") == false);
  CHECK(info.at("calibration").at("thresholds").at("image") == 1.5);
  const auto slim_info = describe_file(slim),
             encoder_info = describe_file(encoder, {.heads = 2, .tensors = true});
  CHECK(slim_info.at("detector").at("slim") == true);
  CHECK(slim_info.at("encoder").at("sha256") == info.at("encoder").at("sha256"));
  CHECK(encoder_info.at("encoder").at("sha256") == info.at("encoder").at("sha256"));
  CHECK(encoder_info.at("kind") == "encoder");
  CHECK(encoder_info.at("tensors").at("embeddings.cls_token") == "F32 (1, 1, 8)");
  outcome = run_dinomaly(folder, "info " + model);
  CHECK(outcome.out.find("  preset: paper\n") != std::string::npos);

  const std::string out = (folder / "out.safetensors").string();
  outcome = run_dinomaly(folder, "export " + slim + " --encoder " + encoder + " --to authors --out " + out);
  CHECK_MESSAGE(outcome.status == 0, outcome.error);
  CHECK(SafeTensors::load(out).contains("encoder.mask_token"));
  std::filesystem::remove(out);
  const auto refuses = [&](const std::string& arguments, const std::string& expected) {
    const Outcome refused = run_dinomaly(folder, arguments);
    CHECK(refused.status == 2);
    CHECK_MESSAGE(refused.error.find(expected) != std::string::npos, refused.error);
    CHECK(std::count(refused.error.begin(), refused.error.end(), '\n') == 1);
    CHECK_FALSE(std::filesystem::exists(out));
  };
  refuses("export " + model + " --to anomalib --out " + out, "anomalib computes only the preset 'anomalib'");
  refuses("export " + slim + " --to authors --out " + out, "give it with --encoder");
  refuses("convert " + model + " " + out + " --names keras",
          "--names: 'keras' is not one of meta, timm, transformers");
  refuses("convert " + model + " " + (folder / "x.pth").string() + " --names meta", "not pickles");
  refuses("convert " + slim + " " + out + " --names meta", "no ViT encoder");
  refuses("info /nowhere.pth", "/nowhere.pth");
}
