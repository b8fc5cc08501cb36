#include "dinomaly/cli/train_options.h"

#include <omp.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>

#include "dinomaly/base/files.h"
#include "dinomaly/cli/device_flag.h"
#include "dinomaly/data/layout.h"
#include "dinomaly/report/results.h"

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

// The one list of options that a config file holds beside those of Config.
template <class Options, class Visitor>
void for_each_option(Options& o, Visitor visit) {
  visit("data", o.data);
  visit("layout", o.layout);
  visit("categories", o.categories);
  visit("encoder", o.encoder);
  visit("heads", o.heads);
  visit("threads", o.threads);
  visit("precision", o.precision);
  visit("device", o.device);
  visit("out", o.out);
  visit("separate", o.separate);
  visit("eval_every", o.eval_every);
  visit("keep_best", o.keep_best);
  visit("checkpoint_every", o.checkpoint_every);
  visit("feature_memory", o.feature_memory);
  visit("feature_cache", o.feature_cache);
  visit("feature_dtype", o.feature_dtype);
  visit("calibrate", o.calibrate);
  visit("false_alarm_rate", o.false_alarm_rate);
  visit("per_category", o.per_category);
  visit("slim", o.slim);
}

json value_of(const std::optional<std::filesystem::path>& path) {
  return path ? json(path->string()) : json(nullptr);
}
json value_of(const std::filesystem::path& path) { return path.string(); }
template <class T>
json value_of(const T& value) {
  return value;
}

template <class T>
bool has_kind(const json& value) {
  if constexpr (std::is_same_v<T, bool>) return value.is_boolean();
  if constexpr (std::is_integral_v<T>) {
    return value.is_number_integer() && value >= 0 && value <= std::numeric_limits<T>::max();
  }
  if constexpr (std::is_floating_point_v<T>) return value.is_number();
  if constexpr (std::is_same_v<T, std::optional<std::filesystem::path>>)
    return value.is_null() || value.is_string();
  if constexpr (std::is_same_v<T, std::vector<std::string>>) {
    return value.is_array() &&
           std::all_of(value.begin(), value.end(), [](const json& item) { return item.is_string(); });
  }
  return value.is_string();
}

template <class T>
void assign(const json& value, T& field, const std::string& source, const char* name) {
  check_input(has_kind<T>(value), "{}: option '{}' has a value of the wrong type", source, name);
  if constexpr (std::is_same_v<T, std::filesystem::path>) {
    field = value.get<std::string>();
  } else if constexpr (std::is_same_v<T, std::optional<std::filesystem::path>>) {
    field.reset();
    if (value.is_string()) field = value.get<std::string>();
  } else {
    field = value.get<T>();
  }
}

void check_options(const TrainOptions& options) {
  const Dtype dtype = parse_dtype(options.precision);
  check_input(is_floating(dtype), "--precision: '{}' is not one of f32, bf16, f64", options.precision);
  check_input(options.heads >= 0 && options.threads >= 0 && options.eval_every >= 0 &&
                  options.checkpoint_every >= 0 && options.feature_memory >= 0,
              "--heads, --threads, --eval-every, --checkpoint-every and --feature-memory cannot be negative");
  check_input(options.threads <= 1024, "--threads: {} is more than 1024", options.threads);
  parse_layout(options.layout);
  if (!options.keep_best.empty()) {
    metric_value({}, options.keep_best);
    check_input(options.eval_every > 0, "--keep-best: needs --eval-every");
  }
  check_input(options.calibrate == "good" || options.calibrate == "f1" || options.calibrate == "none",
              "--calibrate: '{}' is not one of good, f1, none", options.calibrate);
  check_input(options.false_alarm_rate > 0 && options.false_alarm_rate < 1,
              "--false-alarm-rate: {} is not between 0 and 1", options.false_alarm_rate);
  check_input(parse_feature_dtype(options.feature_dtype).has_value(),
              "--feature-dtype: '{}' is not one of model, bf16, int8", options.feature_dtype);
}

}  // namespace

Dtype TrainOptions::dtype() const { return parse_dtype(precision); }

FeatureOptions TrainOptions::features() const {
  const double machine = static_cast<double>(sysconf(_SC_PHYS_PAGES)) * sysconf(_SC_PAGESIZE);
  const double bytes = feature_memory > 0 ? feature_memory * 1e9 : machine / 2;
  return {static_cast<size_t>(std::min(bytes, 1e18)), out, feature_cache,
          parse_feature_dtype(feature_dtype).value()};
}

json TrainOptions::to_json() const {
  json result = config.to_json();
  for_each_option(*this, [&](const char* name, const auto& field) { result[name] = value_of(field); });
  return result;
}

TrainFlags::~TrainFlags() = default;

template <class T>
void TrainFlags::add(CLI::App& app, const std::string& name, T TrainOptions::*field,
                     const std::string& help) {
  CLI::Option* option = nullptr;
  if constexpr (std::is_same_v<T, bool>)
    option = app.add_flag(name, given_.*field, help);
  else
    option = app.add_option(name, given_.*field, help);
  if constexpr (std::is_same_v<T, std::vector<std::string>>)
    option->delimiter(',')->allow_extra_args(false)->multi_option_policy(CLI::MultiOptionPolicy::TakeAll);
  given_fields_.push_back([this, option, field](TrainOptions& options) {
    if (option->count() > 0) options.*field = given_.*field;
  });
}

template <class T>
void TrainFlags::add_config(CLI::App& app, const std::string& name, T Config::*field,
                            const std::string& help) {
  const CLI::Option* option = app.add_option(name, given_.config.*field, help);
  given_fields_.push_back([this, option, field](TrainOptions& options) {
    if (option->count() > 0) options.config.*field = given_.config.*field;
  });
}

TrainFlags::TrainFlags(CLI::App& app, Program program) : program_(program) {
  app.option_defaults()->multi_option_policy(CLI::MultiOptionPolicy::TakeLast);
  const bool command = program == Program::command;
  add(app, command ? "DATA" : "--data", &TrainOptions::data,
      "folder in the layout of MVTec AD, VisA, Real-IAD, MPDD or BTAD, a CSV of images, or a plain folder of "
      "good images (default: images drawn by the program)");
  add(app, "--layout", &TrainOptions::layout,
      "auto (auto-detected), mvtec, visa-raw, visa, real-iad, btad, csv or folder");
  add(app, "--categories", &TrainOptions::categories, "a,b: the categories to train on (default: all)");
  add(app, "--encoder", &TrainOptions::encoder,
      "the ViT's weights: safetensors, .pth or .ckpt (default: random weights)");
  add(app, "--heads", &TrainOptions::heads, "attention heads (default: width / 64)");
  add_model_flags(app);
  add(app, "--threads", &TrainOptions::threads, "threads to compute with; 0: one per processor");
  add(app, "--precision", &TrainOptions::precision,
      "f32, bf16 (weights and activations; sums, statistics and master weights stay f32) or f64");
  add(app, "--device", &TrainOptions::device, device_help);
  app.add_flag("--deterministic", deterministic_help);
  add(app, "--out", &TrainOptions::out, "folder for metrics, log, model and heatmaps");
  if (command) add_command_flags(app);
}

void TrainFlags::add_model_flags(CLI::App& app) {
  app.add_option("--preset", preset_, "paper (the authors' code, default) or anomalib");
  app.add_option("--config", config_file_, "JSON file with any options; flags override it");
  app.add_option("--set", settings_, "NAME=VALUE, any option of the model; may be repeated")
      ->allow_extra_args(false)  // what follows may be DATA
      ->multi_option_policy(CLI::MultiOptionPolicy::TakeAll);
  app.add_option("--resize", resize_, "pixels, N or HEIGHTxWIDTH (448)");
  app.add_option("--crop", crop_, "pixels of the centre crop, N or HEIGHTxWIDTH (392)");
  app.add_option("--mean", mean_, "r,g,b the images are normalised by (ImageNet's)");
  app.add_option("--std", std_, "r,g,b (ImageNet's)");
  add_config(app, "--iterations", &Config::iterations, "training steps (10000; anomalib 5000)");
  add_config(app, "--batch", &Config::batch, "images per step (16)");
  add_config(app, "--seed", &Config::seed, "seed of initial weights, order and dropout (1)");
}

void TrainFlags::add_command_flags(CLI::App& app) {
  add(app, "--separate", &TrainOptions::separate, "one model per category, in OUT/CATEGORY");
  add(app, "--eval-every", &TrainOptions::eval_every,
      "iterations between validations on the test part (OUT/validation.csv); 0: none");
  add(app, "--keep-best", &TrainOptions::keep_best,
      "a metric (image_auroc, aupro, ...): the model is the best validation by it, not the last step");
  add(app, "--checkpoint-every", &TrainOptions::checkpoint_every,
      "iterations between checkpoints (1000); 0: none");
  add(app, "--resume", &TrainOptions::resume, "continue from OUT's last checkpoint, bit for bit");
  add(app, "--feature-memory", &TrainOptions::feature_memory,
      "GB of features kept in memory, the rest in a file in OUT (half of the machine's memory)");
  add(app, "--feature-cache", &TrainOptions::feature_cache, "folder that keeps features for later runs");
  add(app, "--feature-dtype", &TrainOptions::feature_dtype,
      "features are kept as: model (the model's dtype), bf16 (half of f32) or int8 (a quarter)");
  add(app, "--calibrate", &TrainOptions::calibrate,
      "how thresholds are found: good (from good images not used for training; if there are none, every "
      "fifth one is held out), f1 (from labelled test images) or none (good)");
  add(app, "--false-alarm-rate", &TrainOptions::false_alarm_rate,
      "share of good images that may be called anomalous (0.01)");
  add(app, "--per-category", &TrainOptions::per_category, "also store thresholds for each category");
  add(app, "--slim", &TrainOptions::slim,
      "save the model without its encoder, whose weights file is then needed too");
}

// The preset comes first, wherever it is named: it sets the defaults that the file's options change.
void TrainFlags::apply_config_file(TrainOptions& options) const {
  std::string path = config_file_;
  const std::filesystem::path earlier = given_.out / "config.json";
  if (path.empty() && given_.resume && std::filesystem::exists(earlier)) path = earlier.string();
  json file = json::object();
  if (!path.empty()) file = parse_json(read_file(path, largest_config), path);
  check_input(file.is_object(), "{}: not a JSON object of options", path);
  std::string preset = "paper";
  if (file.contains("preset")) {
    check_input(file["preset"].is_string(), "{}: option 'preset' must be a name", path);
    preset = file["preset"].get<std::string>();
    file.erase("preset");
  }
  options.config = Config::with_preset(parse_preset(preset_.empty() ? preset : preset_));
  for_each_option(options, [&](const char* name, auto& field) {
    if (!file.contains(name)) return;
    assign(file[name], field, path, name);
    file.erase(name);
  });
  options.config.update_from_json(file, path);
}

void TrainFlags::apply_texts(Config& config) const {
  for (const std::string& setting : settings_) apply_setting(config, setting);
  if (resize_) parse_size("--resize", *resize_, config.image.resize_h, config.image.resize_w);
  if (crop_) parse_size("--crop", *crop_, config.image.crop_h, config.image.crop_w);
  if (mean_) parse_three("--mean", *mean_, config.image.mean);
  if (std_) parse_three("--std", *std_, config.image.std);
}

TrainOptions TrainFlags::options() const {
  TrainOptions options;
  if (program_ == Program::command) options.calibrate = "good";
  apply_config_file(options);
  apply_texts(options.config);
  for (const auto& copy : given_fields_) copy(options);
  check_options(options);
  options.on = open_device(options.device);
  check_input(options.on.is_cpu() || options.dtype() != Dtype::f64,
              "--precision: f64 runs only on the CPU; use f32 or bf16 on {}", options.on);
  if (options.threads > 0) omp_set_num_threads(options.threads);
  return options;
}

TrainOptions parse_train_options(int argc, char** argv, const std::string& description) {
  CLI::App app{description};
  const TrainFlags flags(app, TrainFlags::Program::example);
  try {
    app.parse(argc, argv);
  } catch (const CLI::CallForHelp& help) {
    fmt::print("{}", app.help());
    throw;
  }
  return flags.options();
}

}  // namespace dinomaly
