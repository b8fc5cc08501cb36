#include "dinomaly/training/train_inputs.h"

#include <fmt/format.h>

#include <algorithm>

#include "dinomaly/base/numbers.h"
#include "dinomaly/base/sha256.h"
#include "dinomaly/data/folders.h"
#include "dinomaly/data/layout.h"
#include "dinomaly/data/masks.h"
#include "dinomaly/model/detector_weights.h"
#include "dinomaly/model/encoder.h"
#include "dinomaly/synthetic/procedural.h"
#include "dinomaly/weights/bundled_encoder.h"
#include "dinomaly/weights/input_channels.h"
#include "tensor/communicator.h"

namespace dinomaly {

namespace {

// What is drawn as one: an image, or all images of an object that are strips of one picture or a pair.
std::string thing_of(const Sample& sample) {
  const bool together = sample.grouping == Grouping::strips || sample.grouping == Grouping::rgb_and_infrared;
  return together ? sample.object : sample.id;
}

// What seeds a category's draw: the run's seed and its name, so that categories of one size draw different places, and
// another category changes no draw.
uint64_t seed_of(const std::string& category, uint64_t seed) {
  constexpr size_t digits = 16;
  return seed ^ std::stoull(sha256_of(category).substr(0, digits), nullptr, 16);
}

// `shots` of each category's training images, each set of them as likely as any other.
void draw_shots(const TrainOptions& options, Dataset& dataset) {
  const auto shots = static_cast<size_t>(options.shots);
  for (Category& category : dataset.categories) {
    std::vector<std::string> things;
    for (const Sample& sample : category.train) things.push_back(thing_of(sample));
    std::sort(things.begin(), things.end());
    things.erase(std::unique(things.begin(), things.end()), things.end());
    const auto count = static_cast<int64_t>(things.size());
    check_input(shots <= things.size(), "--shots: {} are asked for, but category '{}' has {}", shots,
                category.name, counted(count, "training image"));
    const size_t all = things.size();
    Generator generator(seed_of(category.name, options.config.seed));
    for (size_t i = 0; i < shots; ++i) std::swap(things[i], things[i + generator.below(all - i)]);
    things.resize(shots);
    std::sort(things.begin(), things.end());
    std::erase_if(category.train, [&](const Sample& sample) {
      return !std::binary_search(things.begin(), things.end(), thing_of(sample));
    });
    dataset.notes.push_back(fmt::format("{}: {} of {} drawn: {}", category.name, shots,
                                        counted(all, "training image"), fmt::join(things, ", ")));
  }
}

// Thresholds come from good images that were not trained on.
void keep_back_good(Dataset& dataset) {
  for (Category& category : dataset.categories) {
    const auto good = [](const Sample& sample) { return !sample.anomalous; };
    if (std::any_of(category.test.begin(), category.test.end(), good)) continue;
    const int64_t held = hold_out_every_fifth(category);
    if (held == 0) continue;
    dataset.notes.push_back(
        fmt::format("{}: {} held out (every fifth) for the thresholds; --calibrate none trains on all",
                    category.name, counted(held, "good image is", "good images are")));
  }
}

std::filesystem::path drawn_folder(const TrainOptions& options) { return options.out / "dataset"; }

}  // namespace

void draw_dataset(const TrainOptions& options, const std::function<bool()>& stopped) {
  if (options.data) return;
  fmt::print("no data given: drawing a procedural data set into {}\n", drawn_folder(options).string());
  ProceduralOptions drawn;
  drawn.seed = options.config.seed;
  if (communicator().is_first()) make_dataset(drawn_folder(options), drawn, stopped);
  communicator().barrier();
}

Dataset open_dataset(const TrainOptions& options) {
  const std::filesystem::path root = options.data.value_or(drawn_folder(options));
  Dataset dataset = read_dataset(root, options.categories, parse_layout(options.layout));
  for (const Category& category : dataset.categories)
    check_input(!category.train.empty(), "{}: no normal training images of category '{}'", root.string(),
                category.name);
  if (options.calibrate == "good") keep_back_good(dataset);
  if (options.shots > 0) draw_shots(options, dataset);
  fmt::print("{}: {}\n", root.string(), dataset.layout);
  for (const std::string& note : dataset.notes) fmt::print("{}\n", note);
  PixelRules pixels = options.config.image.pixels;
  if (pixels.channels == 0) pixels.channels = 3;  // no encoder has completed the options yet
  for (const Category& category : dataset.categories) {
    check_takes_pairs(pixels, category.train);
    verify_images(category.test, pixels);
    // Those of a later model would be read when the models before it have been trained.
    if (options.separate && dataset.categories.size() > 1) verify_images(category.train, pixels);
    fmt::print("{}: {}, {}\n", category.name,
               counted(static_cast<int64_t>(category.train.size()), "training image"),
               counted(static_cast<int64_t>(category.test.size()), "test image"));
  }
  return dataset;
}

EncoderWeights open_encoder(const TrainOptions& options) {
  const int64_t channels = options.config.image.pixels.channels;  // 0: the encoder's
  if (options.encoder != random_encoder_name) {
    const WeightsFile file = options.encoder ? load_weights_file(*options.encoder) : bundled_encoder();
    if (!options.encoder)
      fmt::print(
          "no --encoder: using the one that comes with the program; --encoder dinov2-small-reg finds more\n");
    EncoderWeights weights = load_encoder(file, options.heads);
    const std::string choice = describe_choice(weights, file.source());
    if (!choice.empty()) fmt::print("{}\n", choice);
    if (channels == 0 || channels == weights.config.channels) return weights;
    weights = with_channels(std::move(weights), channels, file.source());
    fmt::print("{}: the patch embedding is made to take {} instead of 3\n", file.source(),
               counted(channels, "channel"));
    return weights;
  }
  fmt::print("--encoder random: using random weights (seed {}); only coarse defects will be found\n",
             options.config.seed);
  EncoderConfig config;
  config.width = 192, config.heads = options.heads > 0 ? options.heads : 3, config.depth = 12,
  config.patch = 14;
  config.grid_h = config.grid_w = 16, config.hidden = 4 * config.width;
  if (channels > 0) config.channels = channels;
  check_input(config.width % config.heads == 0, "--heads: {} does not divide the width {}", config.heads,
              config.width);
  Generator generator(options.config.seed);
  return random_encoder(config, generator);
}

std::unique_ptr<Dinomaly> make_model(const TrainOptions& options, const EncoderWeights& encoder) {
  auto model = std::make_unique<Dinomaly>(encoder.config, options.config);
  load_encoder_weights(model->encoder(), encoder,
                       options.encoder ? options.encoder->string() : bundled_encoder_name);
  model->to(options.dtype());
  model->to(options.device);
  return model;
}

}  // namespace dinomaly
