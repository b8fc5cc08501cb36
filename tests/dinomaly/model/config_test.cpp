// SPEC "Model" 7: every published constant is a field with the published default, and settable.
#include "dinomaly/model/config.h"

#include <doctest/doctest.h>

#include <functional>
#include <map>
#include <nlohmann/json.hpp>

#include "dinomaly/base/framework.h"
#include "tests/support.h"

namespace dinomaly {

using nlohmann::json;
using Groups = std::vector<std::vector<int64_t>>;

TEST_CASE("config: the authors' constants") {
  Config config;
  config.complete(12, 14);
  const json expected = json::parse(R"({
    "preset": "paper", "target_blocks": [2, 3, 4, 5, 6, 7, 8, 9], "remove_class_token": false,
    "recentering": "none", "bottleneck_width": 0, "lr_decay_ratio": 1.0, "bottleneck_lr_factor": 1.0,
    "amsgrad": true, "skip_not_finite": false, "dropout": 0.2, "bottleneck_bias": true, "decoder_mlp_bias": true,
    "decoder_depth": 8, "decoder_norm_eps": 1e-8, "linear_attention_eps": 0.0, "init_std": 0.01,
    "init_cut": 0.03, "encoder_groups": [[0, 1, 2, 3], [4, 5, 6, 7]], "decoder_groups": [[0, 1, 2, 3], [4, 5, 6, 7]],
    "mining_share": 0.9, "mining_steps": 1000, "mining_factor": 0.1, "iterations": 10000, "batch": 16,
    "learning_rate": 2e-3, "final_learning_rate": 2e-4, "warmup_steps": 100, "beta1": 0.9, "beta2": 0.999,
    "adam_eps": 1e-10, "weight_decay": 1e-4, "clip_norm": 0.1, "resize_h": 448, "resize_w": 448, "crop_h": 392,
    "crop_w": 392, "map_size": 256, "blur_size": 5, "blur_sigma": 4.0, "blur_reflects": false,
    "score_ratio": 0.01})");
  const json actual = config.to_json();
  for (const auto& [name, value] : expected.items()) {
    CAPTURE(name);
    CHECK(actual.at(name) == value);
  }
  CHECK(config.image.mean == std::vector<float>{0.485f, 0.456f, 0.406f});
  CHECK(config.image.std == std::vector<float>{0.229f, 0.224f, 0.225f});
  CHECK(config.image.pixels.channels == 3);
}

TEST_CASE("config: the anomalib preset differs in just these fields") {
  const json paper = Config::with_preset(Preset::paper).to_json();
  const json anomalib = Config::with_preset(Preset::anomalib).to_json();
  const json differing = {{"preset", "anomalib"}, {"bottleneck_bias", false}, {"decoder_mlp_bias", false},
                          {"iterations", 5000},   {"adam_eps", 1e-8},         {"blur_reflects", true}};
  for (const auto& [name, value] : anomalib.items()) {
    CAPTURE(name);
    CHECK(value == (differing.contains(name) ? differing[name] : paper[name]));
  }
  CHECK(Config::with_preset(Preset::paper).image.pipeline == ImagePipeline::pil);
  CHECK(Config::with_preset(Preset::anomalib).image.pipeline == ImagePipeline::torchvision);
  CHECK(one_line_with(input_error([] { parse_preset("other"); }), "'other'"));
}

TEST_CASE("config: the dinomaly2 preset differs in just these fields") {
  const json paper = Config::with_preset(Preset::paper).to_json();
  Config config = Config::with_preset(Preset::dinomaly2);
  const json second = config.to_json();
  const json differing = {{"preset", "dinomaly2"},
                          {"recentering", "dinomaly2"},
                          {"dropout", 0.4},
                          {"bottleneck_width", 256},
                          {"linear_attention_eps", 1e-8},
                          {"iterations", 40000},
                          {"bottleneck_lr_factor", 0.1},
                          {"amsgrad", false},
                          {"skip_not_finite", true}};
  for (const auto& [name, value] : second.items()) {
    CAPTURE(name);
    CHECK(value == (differing.contains(name) ? differing[name] : paper[name]));
  }
  CHECK(config.image == Config().image);
  CHECK(config.schedule()(99) == doctest::Approx(0.99 * 2e-3).epsilon(1e-14));
  CHECK(config.schedule()(39999) == 2e-3);
  config.lr_decay_ratio = 0.25, config.learning_rate = 0.4;
  CHECK(config.schedule()(40000) == 0.1);
  CHECK(Config().schedule()(99) == 2e-3);
  CHECK(Config().schedule()(40000) == 2e-4);
}

TEST_CASE("config: recentering by its name, and by the older true or false") {
  const auto recentering = [](const json& values, Preset preset = Preset::paper) {
    Config config = Config::with_preset(preset);
    config.update_from_json(values, "run.json");
    return config.recentering;
  };
  CHECK(recentering({{"recentering", "anomalib"}}) == Recentering::anomalib);
  CHECK(recentering({{"recentering", "dinomaly2"}}) == Recentering::dinomaly2);
  CHECK(recentering({{"recentering", "none"}}, Preset::dinomaly2) == Recentering::none);
  CHECK(recentering({{"context_recentering", true}}) == Recentering::anomalib);
  CHECK(recentering({{"context_recentering", false}}, Preset::dinomaly2) == Recentering::none);
  CHECK(recentering({{"context_recentering", true}, {"recentering", "anomalib"}}) == Recentering::anomalib);
  CHECK(recentering({{"context_recentering", false}, {"recentering", "dinomaly2"}}) ==
        Recentering::dinomaly2);
  CHECK_FALSE(Config().to_json().contains("context_recentering"));
  CHECK(one_line_with(input_error([&] {
                        recentering({{"context_recentering", true}, {"recentering", "dinomaly2"}});
                      }),
                      "context_recentering is the older name"));
  CHECK(input_error([&] {
          recentering({{"recentering", "some"}});
        }) == "run.json: option 'recentering' must be none, anomalib or dinomaly2");
  CHECK(input_error([&] {
          recentering({{"recentering", true}});
        }) == "run.json: option 'recentering' must be none, anomalib or dinomaly2");
  CHECK(input_error([&] {
          recentering({{"context_recentering", 1}});
        }) == "run.json: option 'context_recentering' must be true or false");
}

TEST_CASE("config: target blocks of the published depths; an unusual one takes the middle") {
  const auto targets = [](int64_t depth) {
    Config config;
    config.complete(depth, 14);
    return config.target_blocks;
  };
  CHECK(targets(12) == std::vector<int64_t>{2, 3, 4, 5, 6, 7, 8, 9});
  CHECK(targets(24) == std::vector<int64_t>{4, 6, 8, 10, 12, 14, 16, 18});
  CHECK(targets(4) == std::vector<int64_t>{0, 1, 2, 3});
}

TEST_CASE("config: every field can be set from JSON, and comes back") {
  Config config;
  json changed = config.to_json();
  for (auto& [name, value] : changed.items()) {
    if (value.is_boolean())
      value = !value.get<bool>();
    else if (name == "recentering")
      value = "dinomaly2";
    else if (value.is_number_integer())
      value = value.get<int64_t>() + 1;
    else if (value.is_number())
      value = value.get<double>() / 2 + 0.125;
  }
  changed["target_blocks"] = {1, 2};
  changed["encoder_groups"] = Groups{{0}, {1}};
  changed["decoder_groups"] = Groups{{0, 1}, {2}};
  changed["mean"] = {0.5, 0.25, 0.125};
  changed["std"] = {0.5, 1.0, 2.0};
  config.update_from_json(changed, "test");
  CHECK(config.to_json() == changed);
}

TEST_CASE("config: the text of its JSON brings every bit back, completed or not") {
  for (Preset preset : {Preset::paper, Preset::anomalib, Preset::dinomaly2}) {
    Config config = Config::with_preset(preset);
    config.learning_rate = 0.1 + 0.2, config.adam_eps = 1e-300, config.seed = UINT64_MAX;
    for (int round = 0; round < 2; ++round) {
      Config again = Config::with_preset(preset);
      again.update_from_json(json::parse(config.to_json().dump()), "test");
      CHECK(again.to_json() == config.to_json());
      CHECK(again.seed == UINT64_MAX);
      CHECK(again.image.mean == config.image.mean);
      config.complete(24, 14);
    }
  }
}

TEST_CASE("config: what an older file does not say is what the program did then") {
  Config config;
  config.update_from_json(with_old_options({{"batch", 3}}), "old");
  CHECK(config.batch == 3);
  CHECK(config.image.pixels == PixelRules{.exif_orientation = false, .bit_depth = 16});
  config.update_from_json(with_old_options({{"exif_orientation", true}, {"bit_depth", 12}}), "new");
  CHECK(config.image.pixels == PixelRules{.exif_orientation = true, .bit_depth = 12});
  CHECK(Config().image.pixels.exif_orientation);
  const json recentred = with_old_options({{"context_recentering", true}});
  CHECK(recentred.at("recentering") == "anomalib");
  CHECK(recentred.at("amsgrad") == true);
  CHECK(recentred.at("bottleneck_width") == 0);
  CHECK(with_old_options({{"recentering", "dinomaly2"}}).at("recentering") == "dinomaly2");
  CHECK(with_old_options({{"context_recentering", false}}).at("recentering") == "none");
  // And a file that has no use for a later option looks as it did then.
  CHECK_FALSE(Config().to_json().contains("softmax_attention"));
  config.update_from_json({{"softmax_attention", true}}, "new");
  CHECK(config.to_json().at("softmax_attention") == true);
  config.update_from_json(with_old_options(Config().to_json()), "old");
  CHECK_FALSE(config.softmax_attention);
}

TEST_CASE("config: channels are the encoder's, with a mean and a std for each") {
  Config five, grey, own, wrong;
  five.complete(12, 14, 5), grey.complete(12, 14, 1);
  CHECK(five.image.pixels.channels == 5);
  CHECK(five.image.mean == std::vector<float>{0.485f, 0.456f, 0.406f, 0.485f, 0.456f});
  CHECK(five.image.std == std::vector<float>{0.229f, 0.224f, 0.225f, 0.229f, 0.224f});
  REQUIRE((grey.image.mean.size() == 1 && grey.image.std.size() == 1));
  CHECK(grey.image.mean[0] == doctest::Approx(0.449));
  CHECK(grey.image.std[0] == doctest::Approx(0.226));
  own.image.mean = {0.5f, 0.25f}, own.image.std = {1, 2};
  own.complete(12, 14, 2);
  CHECK(own.image.mean == std::vector<float>{0.5f, 0.25f});
  CHECK(one_line_with(input_error([] {
                        Config config;
                        config.image.mean = {0.5f, 0.25f};
                        config.complete(12, 14, 5);
                      }),
                      "mean: 2 values, but images have 5 channels"));
  CHECK(one_line_with(input_error([] {
                        Config config;
                        config.image.pixels.channels = 4;
                        config.complete(12, 14, 5);
                      }),
                      "channels: 4 do not fit the encoder, whose patch_embed.proj.weight takes 5"));
  CHECK(one_line_with(input_error([] {
                        Config config;
                        config.with_depth = true;
                        config.complete(12, 14, 1);
                      }),
                      "images with depth have 3 channels, not 1"));
  for (const char* text :
       {R"({"mean": 3})", R"({"mean": [1, "x", 2]})", R"({"mean": [1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1]})"}) {
    CHECK(one_line_with(input_error([&] { wrong.update_from_json(json::parse(text), "test"); }), "'mean'"));
  }
}

TEST_CASE("config: sizes without crop, and the user's own target blocks and groups") {
  for (int64_t side : {392, 280}) {
    Config config;
    config.image.resize_h = config.image.resize_w = config.image.crop_h = config.image.crop_w = side;
    CHECK(input_error([&] { config.complete(12, 14); }).empty());
    CHECK(config.image.crop_h == side);
  }
  Config giant;
  giant.target_blocks = {10, 13, 16, 19, 22, 25, 28, 31};
  giant.encoder_groups = Groups{{0, 2, 4, 6}, {1, 3, 5, 7}};
  giant.decoder_depth = 6;
  giant.complete(40, 14);
  CHECK(giant.target_blocks == std::vector<int64_t>{10, 13, 16, 19, 22, 25, 28, 31});
  CHECK(giant.encoder_groups == Groups{{0, 2, 4, 6}, {1, 3, 5, 7}});
  CHECK(giant.decoder_groups == Groups{{0, 1, 2}, {3, 4, 5}});
}

TEST_CASE("config: unknown names and wrong types are one clear line") {
  const auto message = [](const json& values) {
    return input_error([&] { Config().update_from_json(values, "run.json"); });
  };
  CHECK(message({{"dropuot", 0.1}}) == "run.json: there is no option 'dropuot'; did you mean 'dropout'?");
  CHECK(message({{"batch", 1.5}}) == "run.json: option 'batch' must be an integer");
  CHECK(message({{"seed", -1}}) == "run.json: option 'seed' must be a non-negative integer");
  CHECK(message({{"dropout", "0.1"}}) == "run.json: option 'dropout' must be a number");
  CHECK(message({{"blur_reflects", 1}}) == "run.json: option 'blur_reflects' must be true or false");
  CHECK(message({{"mean", {1, "x"}}}) ==
        "run.json: option 'mean' must be a list of numbers, one for each channel");
  CHECK(message({{"target_blocks", 3}}) == "run.json: option 'target_blocks' must be a list");
  CHECK(message({{"preset", "anomalib"}}) == "run.json: option 'preset' must be \"paper\", as chosen before");
  CHECK(message(json::array()) == "run.json: not a JSON object of options");
}

TEST_CASE("config: what makes no sense with the encoder is refused") {
  const auto message = [](const std::function<void(Config&)>& change) {
    Config config;
    change(config);
    return input_error([&] { config.complete(12, 14); });
  };
  CHECK(message([](Config&) {}).empty());
  CHECK(one_line_with(message([](Config& c) { c.target_blocks = {3, 12}; }), "block 12 does not exist"));
  CHECK(one_line_with(message([](Config& c) { c.target_blocks = {3, 3}; }), "increasing"));
  CHECK(one_line_with(message([](Config& c) { c.encoder_groups = Groups{{0, 8}, {1}}; }), "index 8"));
  CHECK(one_line_with(message([](Config& c) {
                        c.encoder_groups = Groups{{0, 1, 2}};
                      }),
                      "1 encoder group does not match 2 decoder groups"));
  CHECK(one_line_with(message([](Config& c) { c.decoder_groups = Groups{{}, {1}}; }), "a group is empty"));
  CHECK(one_line_with(message([](Config& c) {
                        c.remove_class_token = true;
                        c.recentering = Recentering::anomalib;
                      }),
                      "recentering anomalib needs the class token"));
  CHECK(one_line_with(message([](Config& c) { c.lr_decay_ratio = 0.5; }), "lr_decay_ratio"));
  CHECK(one_line_with(message([](Config& c) {
                        c = Config::with_preset(Preset::dinomaly2);
                        c.final_learning_rate = 1e-4;
                      }),
                      "final_learning_rate: the preset dinomaly2 ends at lr_decay_ratio"));
  for (const double ratio : {-0.1, 1.1}) {
    CHECK(one_line_with(message([&](Config& c) {
                          c = Config::with_preset(Preset::dinomaly2);
                          c.lr_decay_ratio = ratio;
                        }),
                        "lr_decay_ratio"));
  }
  const std::map<std::string, std::vector<double>> senseless{{"dropout", {-0.1, 1}},
                                                             {"mining_share", {-0.1, 1}},
                                                             {"mining_steps", {0}},
                                                             {"mining_factor", {-1}},
                                                             {"iterations", {-1}},
                                                             {"batch", {0}},
                                                             {"learning_rate", {-1}},
                                                             {"final_learning_rate", {-1}},
                                                             {"warmup_steps", {-1}},
                                                             {"beta1", {-0.1, 1}},
                                                             {"beta2", {-0.1, 1}},
                                                             {"adam_eps", {0}},
                                                             {"weight_decay", {-1}},
                                                             {"clip_norm", {0}},
                                                             {"decoder_depth", {0, 1001}},
                                                             {"decoder_norm_eps", {-1e-8}},
                                                             {"linear_attention_eps", {-1}},
                                                             {"init_std", {0}},
                                                             {"init_cut", {0, 1e-5}},
                                                             {"map_size", {0, 16385}},
                                                             {"blur_size", {0, 4, 513}},
                                                             {"blur_sigma", {0}},
                                                             {"score_ratio", {-0.1, 1.5}},
                                                             {"bit_depth", {-1, 7, 17}},
                                                             {"resize_h", {-1, 20000}},
                                                             {"crop_w", {-1, 462}},
                                                             {"bottleneck_width", {-1, 1e6}},
                                                             {"bottleneck_lr_factor", {-1}}};
  for (const auto& [name, values] : senseless) {
    for (double value : values) {
      CAPTURE(name);
      CAPTURE(value);
      const bool whole = Config().to_json()[name].is_number_integer();
      const json setting{{name, whole ? json(static_cast<int64_t>(value)) : json(value)}};
      const std::string part = name.substr(0, name.find_first_of("_"));  // resize_h is reported as "resize"
      CHECK(one_line_with(message([&](Config& c) { c.update_from_json(setting, "test"); }), part));
    }
  }
  CHECK(one_line_with(message([](Config& c) { c.target_blocks = {-1}; }), "block -1 does not exist"));
  CHECK(one_line_with(message([](Config& c) { c.decoder_groups = Groups{{0}, {8}}; }), "index 8"));
  CHECK(one_line_with(message([](Config& c) { c.image.crop_h = 390; }),
                      "crop: 390 x 392 is not a multiple of the encoder's patch 14"));
}

}  // namespace dinomaly
