// The defaults of Dinomaly2's scripts for each kind of data.
#include "dinomaly/training/fit_to_data.h"

#include <doctest/doctest.h>

#include <nlohmann/json.hpp>

#include "dinomaly/base/framework.h"
#include "tests/support.h"

namespace dinomaly {

namespace {

// Twenty images, of pairs forty; their files are not there, so that no bit depth is known.
Dataset dataset_of(Grouping grouping, bool depth = false, const std::string& layout = "") {
  Dataset dataset{.root = "", .categories = {{.name = "nut", .train = {}, .test = {}}}, .layout = layout};
  for (int i = 0; i < 20; ++i) {
    Sample sample{.category = "nut", .id = std::to_string(i)};
    sample.grouping = grouping;
    if (grouping != Grouping::none) sample.object = std::to_string(i);
    if (depth) sample.depth = "depth.tiff";
    dataset.categories[0].train.push_back(sample);
    if (grouping != Grouping::rgb_and_infrared) continue;
    sample.infrared = true;
    dataset.categories[0].train.push_back(sample);
  }
  return dataset;
}

TrainOptions options_of(Preset preset, int64_t patch) {
  TrainOptions options;
  options.config = Config::with_preset(preset);
  options.config.complete(12, patch);
  return options;
}

Config fitted(TrainOptions options, const Dataset& dataset, int64_t patch = 14) {
  fit_to_data(options, dataset, patch);
  return options.config;
}

struct Expected {
  const char* kind;
  Dataset data;
  int64_t iterations;
  double dropout, first_layer;
  int64_t resize, crop, resize_16, crop_16;  // of patches of 14 pixels, and of 16
};

const std::vector<Expected> all_kinds{
    {"images", dataset_of(Grouping::none), 40000, 0.4, 0.1, 448, 392, 512, 448},
    {"BTAD", dataset_of(Grouping::none, false, "BTAD"), 40000, 0.4, 0.1, 392, 392, 448, 448},
    {"views", dataset_of(Grouping::views), 100000, 0.4, 1, 448, 392, 512, 448},
    {"strips", dataset_of(Grouping::strips), 100000, 0.4, 1, 280, 280, 320, 320},
    {"depth", dataset_of(Grouping::none, true), 40000, 0.4, 1, 448, 392, 512, 448},
    {"pairs", dataset_of(Grouping::rgb_and_infrared), 20000, 0.2, 0.1, 448, 392, 512, 448}};

}  // namespace

TEST_CASE("fit to data: dinomaly2 takes its scripts' defaults for the kind of data") {
  for (const Expected& expected : all_kinds) {
    CAPTURE(expected.kind);
    const Config config = fitted(options_of(Preset::dinomaly2, 14), expected.data);
    CHECK(config.iterations == expected.iterations);
    CHECK(config.dropout == expected.dropout);
    CHECK(config.bottleneck_lr_factor == expected.first_layer);
    CHECK(config.batch == 16);
    CHECK(config.with_depth == (std::string(expected.kind) == "depth"));
    CHECK((config.image.resize_h == expected.resize && config.image.resize_w == expected.resize));
    CHECK((config.image.crop_h == expected.crop && config.image.crop_w == expected.crop));
    const ImageConfig large = fitted(options_of(Preset::dinomaly2, 16), expected.data, 16).image;
    CHECK((large.resize_h == expected.resize_16 && large.resize_w == expected.resize_16));
    CHECK((large.crop_h == expected.crop_16 && large.crop_w == expected.crop_16));
  }
}

TEST_CASE("fit to data: options that were given stay, and so do the other presets") {
  const std::vector<std::string> given{"iterations=3", "dropout=0.3", "bottleneck_lr_factor=0.5",
                                       "resize_h=448", "crop_w=392"};
  for (const Expected& expected : all_kinds) {
    CAPTURE(expected.kind);
    for (const std::string& setting : given) {
      CAPTURE(setting);
      OptionTexts texts;
      texts.preset = "dinomaly2", texts.settings = {setting};
      TrainOptions options;
      options.apply(texts);
      options.config.complete(12, 14);
      const nlohmann::json before = options.config.to_json(),
                           after = fitted(options, expected.data).to_json();
      const std::string name = setting.substr(0, setting.find('='));
      CHECK(after.at(name) == before.at(name));
      if (name == "crop_w") CHECK(after.at("resize_h") == 448);
      if (name == "iterations") CHECK(after.at("dropout") == expected.dropout);
    }
    Config paper = fitted(options_of(Preset::paper, 14), expected.data);
    paper.with_depth = false, paper.image.pixels.bit_depth = 0;
    CHECK(paper.to_json() == options_of(Preset::paper, 14).config.to_json());
  }
}

TEST_CASE("fit to data: a file of options cannot give images the depth that they have not") {
  for (const Expected& expected : all_kinds) {
    CAPTURE(expected.kind);
    TrainOptions options = options_of(Preset::paper, 14);
    options.config.with_depth = true;
    options.given["with_depth"] = GivenBy::file;
    const std::string message = input_error([&] { fitted(options, expected.data); });
    CHECK_MESSAGE(message.empty() == (std::string(expected.kind) == "depth"), message);
    if (!message.empty()) CHECK_MESSAGE(one_line_with(message, "with_depth is true"), message);
  }
}

TEST_CASE("fit to data: what --resize and --crop say is given") {
  OptionTexts texts;
  const auto given = [&] {
    TrainOptions options;
    options.apply(texts);
    std::vector<std::string> names;
    for (const auto& [name, by] : options.given) {
      CHECK(by == GivenBy::flag);
      names.push_back(name);
    }
    return names;
  };
  CHECK(given().empty());
  texts.resize = "448";
  CHECK(given() == std::vector<std::string>{"resize_h", "resize_w"});
  texts.crop = "392x28";
  CHECK(given() == std::vector<std::string>{"crop_h", "crop_w", "resize_h", "resize_w"});
}

}  // namespace dinomaly
