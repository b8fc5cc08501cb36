#include "dinomaly/cli/train_options.h"

#include <omp.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <nlohmann/json.hpp>

#include "dinomaly/data/loader.h"
#include "dinomaly/data/procedural.h"
#include "dinomaly/dinov2.h"
#include "dinomaly/files.h"

namespace dinomaly {

using nlohmann::json;

namespace {

constexpr uint64_t largest_config = 1 << 20;

json parse_json(const std::string& text, const std::string& source) {
  const json value = json::parse(text, nullptr, false);
  check_input(!value.is_discarded(), "{}: not valid JSON", source);
  return value;
}

// "448" or "448x336": height x width.
void parse_size(const std::string& flag, const std::string& text, int64_t& height, int64_t& width) {
  const size_t cross = text.find('x');
  const auto number = [&](const std::string& part) {
    check_input(
        !part.empty() && part.size() <= 6 && part.find_first_not_of("0123456789") == std::string::npos,
        "{}: '{}' is neither a size nor HEIGHTxWIDTH", flag, text);
    return static_cast<int64_t>(std::stol(part));
  };
  height = number(text.substr(0, cross));
  width = cross == std::string::npos ? height : number(text.substr(cross + 1));
}

// "r,g,b".
void parse_three(const std::string& flag, const std::string& text, std::array<float, 3>& values) {
  const json list = json::parse("[" + text + "]", nullptr, false);
  check_input(list.is_array() && list.size() == 3 && list[0].is_number() && list[1].is_number() &&
                  list[2].is_number(),
              "{}: '{}' is not three numbers r,g,b", flag, text);
  values = list.get<std::array<float, 3>>();
}

// NAME=VALUE, the value in JSON.
void apply_setting(Config& config, const std::string& setting) {
  const size_t equals = setting.find('=');
  check_input(equals != std::string::npos, "--set: '{}' is not NAME=VALUE", setting);
  const std::string source = "--set " + setting;
  config.update_from_json(json{{setting.substr(0, equals), parse_json(setting.substr(equals + 1), source)}},
                          source);
}

// Metrics need both kinds, and are asked for only after training.
void check_both_classes(const Category& category) {
  const auto anomalous =
      std::count_if(category.test.begin(), category.test.end(), [](const Sample& s) { return s.anomalous; });
  check_input(anomalous > 0 && anomalous<std::ssize(category.test),
                                         "{}: its test pictures are all {}: metrics need both kinds",
                                         category.name, anomalous> 0
                  ? "anomalous"
                  : "good");
}

// What the command line held; empty where a flag was not given.
struct Flags {
  std::string preset, config, precision = "f32", resize, crop, mean, std;
  std::vector<std::string> settings;
  std::optional<int64_t> iterations, batch;
  std::optional<uint64_t> seed;
};

void declare(CLI::App& app, TrainOptions& options, Flags& flags) {
  app.option_defaults()->multi_option_policy(CLI::MultiOptionPolicy::TakeLast);
  app.add_option("--data", options.data,
                 "folder in MVTec AD's layout; without it, pictures drawn by the program");
  app.add_option("--categories", options.categories, "a,b: which categories; all without it")
      ->delimiter(',')
      ->multi_option_policy(CLI::MultiOptionPolicy::TakeAll);
  app.add_option("--encoder", options.encoder, "the ViT's weights (safetensors); without it, random ones");
  app.add_option("--heads", options.heads, "attention heads; width / 64 without it")
      ->check(CLI::NonNegativeNumber);
  app.add_option("--preset", flags.preset, "paper (the authors' code, default) or anomalib");
  app.add_option("--config", flags.config, "JSON file with any options of the model");
  app.add_option("--set", flags.settings, "NAME=VALUE, any one of these options, as often as wanted")
      ->multi_option_policy(CLI::MultiOptionPolicy::TakeAll);
  app.add_option("--resize", flags.resize, "pixels, N or HEIGHTxWIDTH (448)");
  app.add_option("--crop", flags.crop, "pixels of the centre crop, N or HEIGHTxWIDTH (392)");
  app.add_option("--mean", flags.mean, "r,g,b the pictures are normalised by (ImageNet's)");
  app.add_option("--std", flags.std, "r,g,b (ImageNet's)");
  app.add_option("--iterations", flags.iterations, "training steps (10000; anomalib 5000)");
  app.add_option("--batch", flags.batch, "pictures a step (16)");
  app.add_option("--seed", flags.seed, "of initial weights, order and dropout (1)");
  app.add_option("--threads", options.threads, "0: one a processor")->check(CLI::Range(0, 1024));
  app.add_option("--precision", flags.precision,
                 "f32, bf16 (weights and activations; sums, statistics and master weights stay f32) or f64");
  app.add_option("--out", options.out, "folder for metrics, log, model and heatmaps");
}

void apply(const Flags& flags, TrainOptions& options) {
  Config& config = options.config;
  json file = json::object();
  if (!flags.config.empty()) file = parse_json(read_file(flags.config, largest_config), flags.config);
  std::string preset = "paper";
  if (file.is_object() && file.contains("preset")) {
    check_input(file["preset"].is_string(), "{}: option 'preset' must be a name", flags.config);
    preset = file["preset"].get<std::string>();
    file.erase("preset");
  }
  config = Config::with_preset(parse_preset(flags.preset.empty() ? preset : flags.preset));
  config.update_from_json(file, flags.config);
  for (const std::string& setting : flags.settings) apply_setting(config, setting);
  if (!flags.resize.empty())
    parse_size("--resize", flags.resize, config.image.resize_h, config.image.resize_w);
  if (!flags.crop.empty()) parse_size("--crop", flags.crop, config.image.crop_h, config.image.crop_w);
  if (!flags.mean.empty()) parse_three("--mean", flags.mean, config.image.mean);
  if (!flags.std.empty()) parse_three("--std", flags.std, config.image.std);
  if (flags.iterations) config.iterations = *flags.iterations;
  if (flags.batch) config.batch = *flags.batch;
  if (flags.seed) config.seed = *flags.seed;
  options.precision = parse_dtype(flags.precision);
  check_input(is_floating(options.precision), "--precision: '{}' is not one of f32, bf16, f64",
              flags.precision);
}

}  // namespace

TrainOptions parse_train_options(int argc, char** argv, const std::string& description) {
  CLI::App app{description};
  TrainOptions options;
  Flags flags;
  declare(app, options, flags);
  try {
    app.parse(argc, argv);
  } catch (const CLI::CallForHelp& help) {
    fmt::print("{}", app.help());
    throw;
  }
  apply(flags, options);
  if (options.threads > 0) omp_set_num_threads(options.threads);
  return options;
}

Dataset open_dataset(const TrainOptions& options) {
  std::filesystem::path root = options.data.value_or(options.out / "dataset");
  if (!options.data) {
    fmt::print("no --data: drawing a procedural data set into {}\n", root.string());
    ProceduralOptions drawn;
    drawn.seed = options.config.seed;
    make_dataset(root, drawn);
  }
  Dataset dataset = read_mvtec(root, options.categories);
  size_t training_images = 0;
  for (const Category& category : dataset.categories) training_images += category.train.size();
  check_input(options.config.batch <= static_cast<int64_t>(training_images),
              "--batch: {} pictures a batch, but there are {} training images", options.config.batch,
              training_images);
  for (const Category& category : dataset.categories) {
    check_both_classes(category);
    verify_images(category.test);
    fmt::print("{}: {} training images, {} test images\n", category.name, category.train.size(),
               category.test.size());
  }
  return dataset;
}

EncoderWeights open_encoder(const TrainOptions& options) {
  if (options.encoder) return load_encoder(load_checkpoint(*options.encoder), options.heads);
  fmt::print(
      "no --encoder: its weights are random (seed {}); expect coarse defects to be found, no fine ones\n",
      options.config.seed);
  EncoderConfig config;
  config.width = 192, config.heads = options.heads > 0 ? options.heads : 3, config.depth = 12,
  config.patch = 14;
  config.grid_h = config.grid_w = 16, config.hidden = 4 * config.width;
  check_input(config.width % config.heads == 0, "--heads: {} does not divide the width {}", config.heads,
              config.width);
  Generator generator(options.config.seed);
  return random_encoder(config, generator);
}

}  // namespace dinomaly
