#include "dinomaly/training/fit_to_data.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "dinomaly/base/numbers.h"
#include "dinomaly/data/masks.h"
#include "dinomaly/training/draws.h"

namespace dinomaly {

namespace {

// What the scripts and the README of Dinomaly2 have for each kind of data.
struct DataDefaults {
  const char* kind;
  int64_t iterations;
  double dropout;
  double bottleneck_lr_factor;
  int64_t patches;  // of a side, without a margin to crop; 0: the usual sizes, 28 and a margin
};
constexpr DataDefaults for_single_images{"single images", 40000, 0.4, 0.1, 0};
constexpr DataDefaults for_btad{"BTAD", 40000, 0.4, 0.1, 28};
constexpr DataDefaults for_views{"objects of several views", 100000, 0.4, 1, 0};
constexpr DataDefaults for_strips{"pictures of several views", 100000, 0.4, 1, 20};
constexpr DataDefaults for_depth{"images with depth", 40000, 0.4, 1, 0};
constexpr DataDefaults for_pairs{"RGB and infrared images", 20000, 0.2, 0.1, 0};

const DataDefaults& defaults_for(const Dataset& dataset) {
  const std::vector<Sample> samples = training_samples(dataset);
  const auto any = [&](auto fits) { return std::any_of(samples.begin(), samples.end(), fits); };
  const auto any_in = [&](Grouping grouping) {
    return any([grouping](const Sample& sample) { return sample.grouping == grouping; });
  };
  if (any([](const Sample& sample) { return sample.depth.has_value(); })) return for_depth;
  if (any_in(Grouping::rgb_and_infrared)) return for_pairs;
  if (any_in(Grouping::strips)) return for_strips;
  if (any_in(Grouping::views)) return for_views;
  return dataset.layout == "BTAD" ? for_btad : for_single_images;
}

void apply_defaults(TrainOptions& options, const DataDefaults& defaults, int64_t patch) {
  Config& config = options.config;
  const auto is_given = [&](const char* name) { return options.given.contains(name); };
  if (!is_given("iterations")) config.iterations = defaults.iterations;
  if (!is_given("dropout")) config.dropout = defaults.dropout;
  if (!is_given("bottleneck_lr_factor")) config.bottleneck_lr_factor = defaults.bottleneck_lr_factor;
  ImageConfig& image = config.image;
  const bool sized = is_given("resize_h") || is_given("resize_w") || is_given("crop_h") || is_given("crop_w");
  if (defaults.patches > 0 && !sized)
    image.resize_h = image.resize_w = image.crop_h = image.crop_w = defaults.patches * patch;
  fmt::print("dinomaly2, {}: {}, dropout {}, bottleneck_lr_factor {}, images {}x{}, crop {}x{}\n",
             defaults.kind, counted(config.iterations, "iteration"), config.dropout,
             config.bottleneck_lr_factor, image.resize_h, image.resize_w, image.crop_h, image.crop_w);
}

// The images that an epoch draws from a category: both of a pair, one of the views that share a picture.
int64_t images_drawn(const Category& category, int64_t batch) {
  const Draws draws(category.train, 0);
  return draws.count() * batch / draws.in_batch(batch);
}

void fit_batch(TrainOptions& options, const Dataset& dataset) {
  int64_t all = 0, fewest = INT64_MAX;
  for (const Category& category : dataset.categories) {
    const int64_t count = images_drawn(category, options.config.batch);
    all += count, fewest = std::min(fewest, count);
  }
  const int64_t images = options.separate ? fewest : all;
  int64_t& batch = options.config.batch;
  const bool may_shrink =
      options.config.preset == Preset::dinomaly2 || options.shots > 0 || !options.given.contains("batch");
  if (batch > images && may_shrink && images > 0) {
    batch = images;
    fmt::print("a batch is all there is to train on: {}\n", counted(images, "image"));
  }
  check_input(batch <= images, "--batch: {} per batch, but there {} only {}", counted(batch, "image"),
              images == 1 ? "is" : "are", counted(images, "training image"));
}

void fit_bit_depth(TrainOptions& options, const Dataset& dataset) {
  int64_t& depth = options.config.image.pixels.bit_depth;
  if (depth != 0) return;
  depth = measured_bit_depth(training_samples(dataset), options.config.image.pixels.channels);
  if (depth < 16)
    fmt::print("images of 16 bits use {} of them: values from {} on are white (--bit-depth)\n", depth,
               int64_t{255} << (depth - 8));
}

}  // namespace

void fit_to_data(TrainOptions& options, const Dataset& dataset, int64_t patch) {
  const DataDefaults& defaults = defaults_for(dataset);
  if (options.config.preset == Preset::dinomaly2) apply_defaults(options, defaults, patch);
  const bool with_depth = &defaults == &for_depth;
  check_input(with_depth || !options.config.with_depth || !options.given.contains("with_depth"),
              "{}: its images have no depth, but with_depth is true in the options of --config",
              dataset.root.string());
  options.config.with_depth = with_depth;
  fit_batch(options, dataset);
  fit_bit_depth(options, dataset);
}

}  // namespace dinomaly
