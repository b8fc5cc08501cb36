// Few-shot training: a few images of each category, varied anew in each step, and the batch that fits them.
#include <doctest/doctest.h>

#include <map>
#include <set>

#include "dinomaly/base/framework.h"
#include "dinomaly/data/mvtec.h"
#include "dinomaly/image/augment.h"
#include "dinomaly/synthetic/procedural.h"
#include "dinomaly/training/augmented_images.h"
#include "dinomaly/training/fit_to_data.h"
#include "dinomaly/training/train_inputs.h"
#include "dinomaly/training/trainer.h"
#include "tests/dinomaly/small_detector.h"
#include "tests/support.h"

namespace dinomaly {

namespace {

std::vector<Sample> drawn_samples(const TemporaryFolder& folder, int64_t count) {
  make_dataset(folder / "set",
               {.size = 64, .train = count, .good = 1, .per_defect = 1, .categories = {"wood"}});
  return read_mvtec(folder / "set").categories[0].train;
}

TrainOptions options_of(const TemporaryFolder& folder, int64_t shots, uint64_t seed) {
  TrainOptions options;
  options.data = folder / "set";
  options.shots = shots, options.config.seed = seed;
  options.config.image.resize_h = options.config.image.resize_w = 64;
  return options;
}

std::vector<std::string> drawn_ids(const TrainOptions& options) {
  std::vector<std::string> ids;
  for (const Sample& sample : open_dataset(options).categories[0].train) ids.push_back(sample.id);
  return ids;
}

}  // namespace

TEST_CASE("few-shot: images are varied by seed, iteration and place, whether they are kept or read again") {
  const TemporaryFolder folder;
  const std::vector<Sample> samples = drawn_samples(folder, 3);
  Config config = Config::with_preset(Preset::dinomaly2);
  config.image.resize_h = config.image.resize_w = 32, config.image.crop_h = config.image.crop_w = 28;
  config.complete(12, 14);
  AugmentedImages kept(config, samples, SIZE_MAX), read_again(config, samples, 0);
  const auto pixels = [&](AugmentedImages& images, int64_t iteration) {
    return images.batch({2, 0}, iteration).to_vector<float>();
  };
  const auto first = pixels(kept, 5);
  CHECK(kept.batch({2, 0}, 5).shape() == Shape{2, 3, 28, 28});
  CHECK(pixels(kept, 6) != first);
  CHECK(pixels(kept, 5) == first);
  CHECK(pixels(read_again, 5) == first);
  CHECK(kept.batch({2, 2}, 5).select(0, 0).to_vector<float>() !=
        kept.batch({2, 2}, 5).select(0, 1).to_vector<float>());
  config.seed = 2;
  AugmentedImages other(config, samples, SIZE_MAX);
  CHECK(pixels(other, 5) != first);
  // By hand: the second image of iteration 5.
  config.seed = 1;
  Generator generator(1 ^ 0x6175676d656e74, (5 * 2 + 1) * most_draws_per_variation);
  ImageConfig whole = config.image, small = config.image;
  whole.crop_h = whole.crop_w = 32, small.resize_h = small.resize_w = 28;
  const Image resized = resize_and_crop(load_image_rgb(samples[0].image), whole);
  const Tensor by_hand =
      preprocess(varied(resized, draw_variation(config.image, generator), config.image), small);
  CHECK(kept.batch({2, 0}, 5).select(0, 1).to_vector<float>() == by_hand.to_vector<float>());
}

TEST_CASE("few-shot: each step trains on new variations, and a run that is continued has the same bits") {
  const TemporaryFolder folder;
  const std::vector<Sample> samples = drawn_samples(folder, 3);
  const auto model_of = [] {
    SmallDetector small(Preset::dinomaly2);
    Config config = small.model->config();
    config.iterations = 6, config.batch = 3, config.warmup_steps = 2;
    auto model = std::make_unique<Dinomaly>(small.encoder.config, config);
    load_encoder_weights(model->encoder(), small.encoder, "small encoder");
    return model;
  };
  const auto straight = model_of(), begun = model_of(), continued = model_of();
  FeatureStore features(*straight, samples, 3, {.augment = true});
  CHECK(features.is_complete());
  CHECK(features.gather({0, 1}, 3).bottleneck_input.to_vector<float>() !=
        features.gather({0, 1}, 4).bottleneck_input.to_vector<float>());
  Trainer whole(*straight, features);
  std::vector<double> losses;
  while (!whole.done()) losses.push_back(whole.step().loss);
  whole.check_sound();
  FeatureStore of_begun(*begun, samples, 3, {.augment = true}),
      of_continued(*continued, samples, 3, {.augment = true});
  Trainer first(*begun, of_begun), second(*continued, of_continued);
  for (int i = 0; i < 3; ++i) CHECK(first.step().loss == losses[static_cast<size_t>(i)]);
  const NamedTensors state = first.state();
  second.load_state({state.begin(), state.end()}, "state");
  for (size_t i = 3; i < 6; ++i) CHECK(second.step().loss == losses[i]);
  CHECK(same_weights(*straight, *continued));
}

TEST_CASE("few-shot: so many images of each category, drawn by the seed without replacement") {
  const TemporaryFolder folder;
  const std::vector<Sample> samples = drawn_samples(folder, 12);
  std::set<std::vector<std::string>> sets;
  std::set<std::string> seen;
  for (uint64_t seed = 1; seed <= 12; ++seed) {
    const std::vector<std::string> ids = drawn_ids(options_of(folder, 4, seed));
    CHECK(ids.size() == 4);
    CHECK(std::is_sorted(ids.begin(), ids.end()));
    CHECK(std::set(ids.begin(), ids.end()).size() == 4);
    CHECK(drawn_ids(options_of(folder, 4, seed)) == ids);
    sets.insert(ids);
    seen.insert(ids.begin(), ids.end());
  }
  CHECK(sets.size() > 8);
  CHECK(seen.size() == 12);
  CHECK(drawn_ids(options_of(folder, 12, 1)).size() == 12);
  CHECK(drawn_ids(options_of(folder, 0, 1)).size() == 12);
  CHECK(one_line_with(input_error([&] { open_dataset(options_of(folder, 13, 1)); }),
                      "--shots: 13 are asked for, but category 'wood' has 12 training images"));
}

TEST_CASE("few-shot: categories draw apart from each other, and another category changes no draw") {
  const TemporaryFolder folder;
  make_dataset(
      folder / "set",
      {.size = 64, .train = 20, .good = 1, .per_defect = 1, .categories = {"flange", "weave", "wood"}});
  const auto drawn = [&](const std::vector<std::string>& categories) {
    TrainOptions options = options_of(folder, 6, 1);
    options.categories = categories;
    std::map<std::string, std::vector<std::string>> ids;
    for (const Category& category : open_dataset(options).categories) {
      for (const Sample& sample : category.train) ids[category.name].push_back(sample.id);
    }
    return ids;
  };
  const auto all = drawn({});
  REQUIRE(all.size() == 3);
  CHECK(all.at("flange") != all.at("weave"));
  CHECK(all.at("flange") != all.at("wood"));
  CHECK(all.at("weave") != all.at("wood"));
  CHECK(drawn({"wood"}).at("wood") == all.at("wood"));
  CHECK(drawn({"wood", "flange"}).at("flange") == all.at("flange"));
}

TEST_CASE(
    "few-shot: the batch is all images there are where those are fewer, and an error where it was named") {
  const TemporaryFolder folder;
  const std::vector<Sample> samples = drawn_samples(folder, 5);
  const auto batch_for = [&](Preset preset, int64_t shots, bool named) {
    TrainOptions options = options_of(folder, shots, 1);
    options.config.preset = preset;
    if (named) options.given["batch"] = GivenBy::flag;
    const Dataset dataset = open_dataset(options);
    fit_to_data(options, dataset, 14);
    return options.config.batch;
  };
  CHECK(batch_for(Preset::dinomaly2, 0, true) == 5);
  CHECK(batch_for(Preset::dinomaly2, 4, true) == 4);
  CHECK(batch_for(Preset::paper, 3, true) == 3);
  CHECK(batch_for(Preset::paper, 0, false) == 5);
  CHECK(one_line_with(input_error([&] { batch_for(Preset::paper, 0, true); }),
                      "--batch: 16 images per batch, but there are only 5 training images"));
  TrainOptions fitting = options_of(folder, 0, 1);
  fitting.config.preset = Preset::dinomaly2, fitting.config.batch = 2;
  fit_to_data(fitting, open_dataset(fitting), 14);
  CHECK(fitting.config.batch == 2);
}

}  // namespace dinomaly
