#include "dinomaly/model/model_file.h"

#include <doctest/doctest.h>

#include <nlohmann/json.hpp>

#include "dinomaly/base/framework.h"
#include "tensor/io/safetensors.h"
#include "tests/dinomaly/small_detector.h"
#include "tests/support.h"

using namespace dinomaly;

TEST_CASE("a saved detector comes back with its options, calibration and weights") {
  const TemporaryFolder folder;
  for (const Preset preset : {Preset::paper, Preset::anomalib, Preset::dinomaly2}) {
    const SmallDetector small(preset);
    ModelFileOptions options;
    options.calibration = Calibration{.all = {1.5, 0.25}, .categories = {{"nut", {0.5, 0.125}}}};
    save_model(folder / "model.safetensors", *small.model, small.encoder.config, options);
    const Detector loaded = load_detector(folder / "model.safetensors");
    CHECK(loaded.kind == DetectorKind::own);
    CHECK(loaded.config().to_json() == small.model->config().to_json());
    CHECK(loaded.model->encoder().config() == small.encoder.config);
    CHECK(loaded.calibration == options.calibration);
    CHECK_FALSE(loaded.model->training());
    CHECK(same_weights(*loaded.model, *small.model));
  }
}

TEST_CASE("a model of the time when recentering was true or false is still read") {
  const TemporaryFolder folder;
  SmallDetector small(Preset::anomalib);
  save_model(folder / "model", *small.model, small.encoder.config);
  const SafeTensors file = SafeTensors::load(folder / "model");
  for (const bool recentred : {false, true}) {
    auto metadata = file.metadata();
    nlohmann::json config = nlohmann::json::parse(metadata.at("config"));
    for (const char* later : {"recentering", "bottleneck_width", "lr_decay_ratio", "bottleneck_lr_factor",
                              "amsgrad", "skip_not_finite"})
      CHECK(config.erase(later) == 1);
    config["context_recentering"] = recentred;
    metadata["config"] = config.dump();
    NamedTensors tensors;
    for (const std::string& name : file.names()) tensors.emplace_back(name, file.get(name));
    save_safetensors(folder / "older", tensors, metadata);
    const Detector loaded = load_detector(folder / "older");
    CHECK(loaded.config().recentering == (recentred ? Recentering::anomalib : Recentering::none));
    CHECK(loaded.config().amsgrad);
    CHECK(same_weights(*loaded.model, *small.model));
  }
}

TEST_CASE("a state dict of Dinomaly2 is told by its bottleneck") {
  const TemporaryFolder folder;
  const SmallDetector small(Preset::dinomaly2);
  const auto path = folder / "model.safetensors";
  save_safetensors(path, small.model->state_dict());  // no metadata
  const Detector loaded = load_detector(path, std::nullopt, 2);
  CHECK(loaded.kind == DetectorKind::authors);
  CHECK(loaded.config().preset == Preset::dinomaly2);
  CHECK(loaded.config().bottleneck_width == 256);
  CHECK(loaded.config().recentering == Recentering::dinomaly2);
  CHECK(same_weights(*loaded.model, *small.model));
  NamedTensors broken;
  for (const auto& [name, tensor] : small.model->state_dict()) {
    if (name != "bottleneck.1.0.bias") broken.emplace_back(name, tensor);
  }
  save_safetensors(path, broken);
  const std::string message = input_error([&] { load_detector(path, std::nullopt, 2); });
  CHECK_MESSAGE(one_line_with(message, "1 missing (bottleneck.1.0.bias)"), message);
}

TEST_CASE("a slim file takes the encoder it was trained with, and no other") {
  const TemporaryFolder folder;
  const SmallDetector small(Preset::paper);
  const auto slim = folder / "slim.safetensors", encoder = folder / "encoder.safetensors";
  save_model(slim, *small.model, small.encoder.config, {.slim = true, .encoder_name = "encoder.safetensors"});
  save_safetensors(encoder, small.encoder.tensors);
  CHECK(std::filesystem::file_size(slim) > 0);
  for (const std::string& name : SafeTensors::load(slim).names()) CHECK_FALSE(name.starts_with("encoder."));

  const Detector loaded = load_detector(slim, encoder);
  CHECK(loaded.model->encoder().config() == small.encoder.config);
  CHECK(same_weights(*loaded.model, *small.model));

  CHECK(one_line_with(input_error([&] { load_detector(slim); }),
                      "give it with --encoder (it was encoder.safetensors)"));
  NamedTensors other = small.encoder.tensors;
  other[0].second = Tensor::full(other[0].second.shape(), 0.5);
  save_safetensors(encoder, other);
  CHECK(one_line_with(input_error([&] { load_detector(slim, encoder); }), "not the weights"));
  save_model(slim, *small.model, small.encoder.config);
  CHECK(one_line_with(input_error([&] { load_detector(slim, encoder); }), "contains its encoder"));
}

TEST_CASE("detectors that are not whole are refused, naming what is wrong") {
  const TemporaryFolder folder;
  const SmallDetector small(Preset::paper);
  const auto path = folder / "model.safetensors";
  save_model(path, *small.model, small.encoder.config);
  const SafeTensors whole = SafeTensors::load(path);
  const auto refuses = [&](auto change, const std::string& expected) {
    std::map<std::string, Tensor> tensors;
    for (const std::string& name : whole.names()) tensors[name] = whole.get(name);
    auto metadata = whole.metadata();
    change(tensors, metadata);
    const auto changed = folder / "changed.safetensors";
    save_safetensors(changed, {tensors.begin(), tensors.end()}, metadata);
    const std::string message = input_error([&] { load_detector(changed); });
    CHECK_MESSAGE(one_line_with(message, expected), message);
  };
  refuses([](auto& t, auto&) { t.erase("decoder.3.norm1.bias"); }, "1 missing (decoder.3.norm1.bias)");
  refuses([](auto& t, auto&) { t["extra"] = Tensor::ones({1}); }, "1 unexpected (extra)");
  refuses([](auto& t, auto&) { t["decoder.0.attn.proj.bias"] = Tensor::ones({3}); }, "1 misshapen");
  refuses(
      [](auto& t, auto&) {
        std::erase_if(t, [](const auto& e) { return e.first.starts_with("decoder.") && e.first[8] != '0'; });
      },
      "but the file has 1 decoder block");
  refuses([](auto& t, auto&) { t["decoder.90.norm1.bias"] = Tensor::ones({1}); }, "9 decoder blocks");
  refuses([](auto& t, auto&) { t.erase("encoder.cls_token"); }, "encoder");
  refuses([](auto& t, auto&) { t.erase("bottleneck.0.fc1.weight"); }, "no trained Dinomaly");
  refuses([](auto&, auto& m) { m.erase("config"); }, "no 'config'");
  refuses([](auto&, auto& m) { m["config"] = std::string("[]"); }, "not a JSON object");
  refuses([](auto&, auto& m) { m["config"] = R"({"preset":"paper","decoder_depth":1000000000})"; },
          "decoder_depth");
  refuses([](auto&, auto& m) { m["heads"] = std::string("1e9"); }, "'1e9'");
  refuses([](auto&, auto& m) { m["heads"] = std::string("7"); }, "7 heads");
  refuses([](auto&, auto& m) { m["calibration"] = std::string("{"); }, "calibration");
  refuses([](auto&, auto& m) { m["kind"] = "cat"; }, "the 'kind' of its metadata is 'cat'");
  refuses([](auto&, auto& m) { m["kind"] = "dinomaly-author"; }, "did you mean 'dinomaly-authors'");
  refuses([](auto&, auto& m) { m.erase("kind"); }, "no 'kind'");
}

TEST_CASE("a wrong value in a model's metadata is named with its file and its field, never with a flag") {
  using nlohmann::json;
  const TemporaryFolder folder;
  const SmallDetector small(Preset::paper);
  save_model(folder / "model", *small.model, small.encoder.config, {.calibration = Calibration{}});
  const SafeTensors whole = SafeTensors::load(folder / "model");
  NamedTensors tensors;
  for (const std::string& name : whole.names()) tensors.emplace_back(name, whole.get(name));
  const auto message = [&](std::map<std::string, std::string> metadata) {
    save_safetensors(folder / "changed.safetensors", tensors, metadata);
    return input_error([&] { load_detector(folder / "changed.safetensors"); });
  };
  const auto refuses = [&](const char* part, const char* field, const json& value,
                           const std::string& expected) {
    auto metadata = whole.metadata();
    json all = json::parse(metadata.at(part));
    all[field] = value;
    metadata[part] = all.dump();
    const std::string text = message(metadata);
    CHECK_MESSAGE(one_line_with(text, "changed.safetensors: " + expected), text);
    CHECK_MESSAGE(text.find("--") == std::string::npos, text);
  };
  refuses("config", "bit_depth", 99, "its config: bit_depth: 99");
  refuses("config", "map_size", 0, "its config: map_size: 0");
  refuses("config", "std", {0, 1, 1}, "its config: std: 0");
  refuses("config", "preset", "papr", "its config: preset: 'papr'");
  refuses("calibration", "area", "moon", "'area' of its calibration is \"moon\"");
  refuses("calibration", "method", "luck", "'method' of its calibration is \"luck\"");
  refuses("calibration", "overlap", 16, "'tile' 0, 'overlap' 16");
  auto metadata = whole.metadata();
  std::string& text = metadata.at("calibration");
  const size_t at = text.find("\"image\":0.0");
  REQUIRE(at != std::string::npos);
  text.replace(at, 11, "\"image\":NaN");
  CHECK_MESSAGE(one_line_with(message(metadata), "changed.safetensors: its calibration is not JSON"),
                message(metadata));
  CHECK_MESSAGE(one_line_with(message(metadata), "\"image\":N"), message(metadata));
}

TEST_CASE("thresholds stand for the options they were found with; of older files nobody knows") {
  const TemporaryFolder folder;
  const SmallDetector small(Preset::paper);
  save_model(folder / "model", *small.model, small.encoder.config, {.calibration = Calibration{}});
  const SafeTensors whole = SafeTensors::load(folder / "model");
  NamedTensors tensors;
  for (const std::string& name : whole.names()) tensors.emplace_back(name, whole.get(name));
  auto metadata = whole.metadata();
  nlohmann::json config = nlohmann::json::parse(metadata.at("config"));
  config["blur_reflects"] = true;
  metadata["config"] = config.dump();
  save_safetensors(folder / "changed", tensors, metadata);
  const std::string message = input_error([&] { load_detector(folder / "changed"); });
  CHECK_MESSAGE(one_line_with(message, "its thresholds were found with another 'config'"), message);
  CHECK(metadata.erase("calibration_of") == 1);
  save_safetensors(folder / "older", tensors, metadata);
  CHECK(load_detector(folder / "older").calibration == Calibration{});
}
