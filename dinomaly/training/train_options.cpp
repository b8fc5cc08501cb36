#include "dinomaly/training/train_options.h"

#include <unistd.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <cmath>
#include <limits>
#include <nlohmann/json.hpp>

#include "dinomaly/base/files.h"
#include "dinomaly/base/numbers.h"
#include "dinomaly/base/open_device.h"
#include "dinomaly/base/option_error.h"
#include "dinomaly/data/layout.h"
#include "dinomaly/image/region_of_interest.h"
#include "dinomaly/model/calibration.h"
#include "dinomaly/weights/bundled_encoder.h"
#include "tensor/io/printable.h"
#include "tensor/threads.h"

namespace dinomaly {

using nlohmann::json;

namespace {

constexpr uint64_t largest_config = 1 << 20;

json parse_json(const std::string& text, const std::string& source) {
  json value = json::parse(text, nullptr, false);
  check_input(!value.is_discarded(), "{}: not valid JSON", source);
  return value;
}

// "448" or "448x336": height x width.
void parse_size(const std::string& flag, const std::string& text, int64_t& height, int64_t& width) {
  const size_t cross = text.find('x');
  const auto number = [&](const std::string& part) {
    const std::string digits = whole_number(part).value_or("");
    const bool is_size = !digits.empty() && digits.size() <= 6 && digits[0] != '-' && digits[0] != '0';
    check_input(is_size, "{}: '{}' is neither a size nor HEIGHTxWIDTH", flag, printable(text));
    return static_cast<int64_t>(std::stol(digits));
  };
  height = number(text.substr(0, cross));
  width = cross == std::string::npos ? height : number(text.substr(cross + 1));
}

// "r,g,b", or as many numbers as there are channels.
void parse_means(const std::string& flag, const std::string& text, std::vector<float>& values) {
  const std::optional<std::vector<double>> numbers = parse_numbers(text);
  check_input(numbers && numbers->size() <= most_channels &&
                  std::all_of(numbers->begin(), numbers->end(),
                              [](double x) { return std::abs(x) <= std::numeric_limits<float>::max(); }),
              "{}: '{}' is not a number for each channel, as r,g,b", flag, printable(text));
  values.assign(numbers->begin(), numbers->end());
}

// A number or a list of numbers as people write them, with brackets or without: JSON knows no ".5".
json json_of_numbers(std::string text) {
  const auto number = [](double value) {
    const std::string written = fmt::format("{}", value);
    return json::parse(whole_number(written).value_or(written), nullptr, false);
  };
  if (const auto whole = whole_number(text)) return json::parse(*whole, nullptr, false);
  if (const auto one = parse_number(text)) return number(*one);
  const bool bracketed = text.starts_with('[') && text.ends_with(']');
  const auto several = parse_numbers(bracketed ? text.substr(1, text.size() - 2) : text);
  json list = json::array();
  for (const double value : several.value_or(std::vector<double>())) list.push_back(number(value));
  return several ? list : json(json::value_t::discarded);
}

// NAME=VALUE, the value in JSON.
void apply_setting(TrainOptions& options, const std::string& setting) {
  const size_t equals = setting.find('=');
  check_input(equals != std::string::npos, "--set: '{}' is not NAME=VALUE", setting);
  const std::string source = "--set " + setting, name = setting.substr(0, equals),
                    text = setting.substr(equals + 1);
  check_input(
      name != "with_depth",
      "{}: the data decide: images have depth with --layout mvtec-3d or eyecandies, or where each has its "
      "ID_depth.tiff beside it",
      source);
  const std::array one_option{"recentering", "context_recentering"};
  for (const size_t i : {size_t{0}, size_t{1}}) {
    const auto other = options.given.find(one_option[1 - i]);
    check_input(
        name != one_option[i] || other == options.given.end() || other->second != GivenBy::setting,
        "{}: {} is set, too, and context_recentering is the older name of recentering: set one of them",
        source, one_option[1 - i]);
  }
  // A word needs no quotes, which a shell would take away.
  const bool is_word =
      !text.empty() && std::isalpha(static_cast<unsigned char>(text[0])) &&
      std::all_of(text.begin(), text.end(), [](unsigned char c) { return std::isalnum(c) || c == '_'; });
  json value = json_of_numbers(text);
  if (value.is_discarded()) value = json::parse(text, nullptr, false);
  if (value.is_discarded() && is_word) value = text;
  check_input(!value.is_discarded(), "{}: not valid JSON", source);
  options.config.update_from_json(json{{name, value}}, source);
  options.given[name] = GivenBy::setting;
}

// The one list of options that a config file holds beside those of Config.
template <class Options, class Visitor>
void for_each_option(Options& o, Visitor visit) {
  visit("data", o.data);
  visit("layout", o.layout);
  visit("categories", o.categories);
  visit("shots", o.shots);
  visit("encoder", o.encoder);
  visit("encoder_sha256", o.encoder_sha256);
  visit("heads", o.heads);
  visit("threads", o.threads);
  visit("precision", o.precision);
  visit("device", o.device_name);
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
  visit("roi", o.roi);
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
void assign_option(const json& value, T& field, const std::string& source, const char* name) {
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
  const std::string& precision = options.precision;
  check_input(precision == "f32" || precision == "bf16" || precision == "f64" || precision == "int8",
              "--precision: '{}' is not one of f32, bf16, f64, int8", precision);
  check_input(!options.config.feature_whitening || !options.stores_int8(),
              "--precision: with --feature-whitening a model cannot be int8: whitening enlarges what "
              "rounding changes");
  check_input(!options.slim || !options.stores_int8(),
              "--slim: with --precision int8 the model has weights of its own for the encoder");
  check_input(options.heads >= 0 && options.threads >= 0 && options.eval_every >= 0 &&
                  options.checkpoint_every >= 0 && options.feature_memory >= 0,
              "--heads, --threads, --eval-every, --checkpoint-every and --feature-memory cannot be negative");
  check_input(std::isfinite(options.feature_memory), "--feature-memory: {} is not a number of GB",
              options.feature_memory);
  check_input(options.threads <= 1024, "--threads: {} is more than 1024", options.threads);
  check_input(!options.slim || options.encoder_file(),
              "--slim: leaves the encoder to its file, so it needs --encoder FILE");
  check_input(!options.finish || options.resume, "--finish: needs --resume");
  check_input(!options.force || !options.resume,
              "--force starts over and --resume continues: only one can be meant");
  parse_layout(options.layout);
  const int64_t channels = options.config.image.pixels.channels;
  check_input(channels >= 0 && channels <= most_channels, "--channels: {} is not within 1..{}", channels,
              most_channels);
  check_input(options.shots >= 0, "--shots: {} is negative", options.shots);
  if (options.shots > 0) {
    check_input(options.config.image.pipeline == ImagePipeline::pil,
                "--shots: varies images as the authors' code does: not with the preset {}",
                name_of(options.config.preset));
    check_input(!options.feature_cache && options.feature_dtype == "model",
                "--feature-cache and --feature-dtype are for features that are kept; with --shots none are");
  }
  check_input(!options.config.feature_whitening || options.feature_dtype == "model",
              "--feature-dtype: whitening enlarges what rounding changes; with --feature-whitening features "
              "are kept as 'model' only");
  check_input(options.keep_best.empty() || options.eval_every > 0, "--keep-best: needs --eval-every");
  check_input(options.calibrate == "good" || options.calibrate == "f1" || options.calibrate == "none",
              "--calibrate: '{}' is not one of good, f1, none", options.calibrate);
  check_false_alarm_rate(options.false_alarm_rate);
  check_input(!RegionOfInterest::parse(options.roi).on() || options.calibrate != "none",
              "--roi: it is for thresholds, and with --calibrate none there are none");
  check_input(parse_feature_dtype(options.feature_dtype).has_value(),
              "--feature-dtype: '{}' is not one of model, bf16, int8", options.feature_dtype);
}

// Names the option's flag where that gave the preset, else the file.
Preset preset_of(const std::string& flag, const std::string& in_file, const std::string& path) {
  try {
    return parse_preset(flag.empty() ? in_file : flag);
  } catch (const OptionError& error) {
    fail_input("{}: {}", flag.empty() ? path + ": preset" : "--preset", error.fault());
  }
}

// The preset comes first, wherever it is named: it sets the defaults that the file's options change.
void apply_file(TrainOptions& options, const std::string& preset_name, const std::string& path) {
  json file = json::object();
  if (!path.empty()) file = parse_json(read_file(path, largest_config), path);
  check_input(file.is_object(), "{}: not a JSON object of options", path);
  std::string preset = "paper";
  if (file.contains("preset")) {
    check_input(file["preset"].is_string(), "{}: option 'preset' must be a name", path);
    preset = file["preset"].get<std::string>();
    file.erase("preset");
  }
  options.config = Config::with_preset(preset_of(preset_name, preset, path));
  for_each_option(options, [&](const char* name, auto& field) {
    if (!file.contains(name)) return;
    assign_option(file[name], field, path, name);
    file.erase(name);
  });
  options.config.update_from_json(file, path);
  for (const auto& [name, value] : file.items()) options.given[name] = GivenBy::file;
}

}  // namespace

Dtype TrainOptions::dtype() const { return stores_int8() ? Dtype::f32 : parse_dtype(precision); }

FeatureOptions TrainOptions::features() const {
  const double machine = static_cast<double>(sysconf(_SC_PHYS_PAGES)) * sysconf(_SC_PAGESIZE);
  const double bytes = feature_memory > 0 ? feature_memory * 1e9 : machine / 2;
  return {static_cast<size_t>(std::min(bytes, 1e18)), out, feature_cache,
          parse_feature_dtype(feature_dtype).value(), shots > 0};
}

json TrainOptions::to_json() const {
  json result = config.to_json();
  for_each_option(*this, [&](const char* name, const auto& field) { result[name] = value_of(field); });
  if (!encoder_name.empty()) result["encoder"] = encoder_name;
  return result;
}

void TrainOptions::apply(const OptionTexts& texts) {
  apply_file(*this, texts.preset, texts.file);
  for (const std::string& setting : texts.settings) apply_setting(*this, setting);
  if (texts.resize) {
    parse_size("--resize", *texts.resize, config.image.resize_h, config.image.resize_w);
    given["resize_h"] = given["resize_w"] = GivenBy::flag;
  }
  if (texts.crop) {
    parse_size("--crop", *texts.crop, config.image.crop_h, config.image.crop_w);
    given["crop_h"] = given["crop_w"] = GivenBy::flag;
  }
  if (texts.mean) {
    parse_means("--mean", *texts.mean, config.image.mean);
    given["mean"] = GivenBy::flag;
  }
  if (texts.std) {
    parse_means("--std", *texts.std, config.image.std);
    given["std"] = GivenBy::flag;
  }
}

std::optional<std::filesystem::path> TrainOptions::encoder_file() const {
  return encoder == random_encoder_name ? std::nullopt : encoder;
}

int64_t fast_side(int64_t patch, bool own_encoder) { return (own_encoder ? 10 : 20) * patch; }

// --fast is int8 and a size: whoever names another says what cannot be.
void TrainOptions::take_fast_size(int64_t side) {
  ImageConfig& image = config.image;
  const std::pair<const char*, int64_t*> sizes[] = {{"resize_h", &image.resize_h},
                                                    {"resize_w", &image.resize_w},
                                                    {"crop_h", &image.crop_h},
                                                    {"crop_w", &image.crop_w}};
  for (const auto& [name, size] : sizes) {
    const auto named = given.find(name);
    if (named != given.end() && *size != side) {
      const std::string option(name);
      fail_input("--fast: it takes images of {} x {} pixels; {} is {}", side, side,
                 named->second == GivenBy::flag ? "--" + option.substr(0, option.find('_')) : option, *size);
    }
    *size = side;
  }
}

void TrainOptions::complete_config(int64_t encoder_depth, int64_t patch, int64_t channels) {
  ImageConfig& image = config.image;
  if (fast) take_fast_size(fast_side(patch, !encoder));
  if (!encoder && image.resize_h == 0 && image.resize_w == 0 && image.crop_h == 0 && image.crop_w == 0) {
    image.resize_h = image.resize_w = bundled_resize;
    image.crop_h = image.crop_w = bundled_crop;
  }
  try {
    config.complete(encoder_depth, patch, channels);
  } catch (const OptionError& error) {
    std::string flag = error.option();
    const auto by_name = [&](const std::string& name) {
      const auto found = given.find(name);
      return found != given.end() && found->second != GivenBy::flag;
    };
    if (by_name(flag) || by_name(flag + "_h") || by_name(flag + "_w")) throw;
    std::replace(flag.begin(), flag.end(), '_', '-');
    fail_input("--{}: {}", flag, error.fault());
  }
}

static void check_fast(const TrainOptions& options) {
  check_input(!options.resume, "--fast: --resume goes on with the sizes and the precision of its run");
  check_input(options.stores_int8(), "--fast: it stores int8, not {} as --precision has it",
              options.precision);
}

void TrainOptions::prepare() {
  if (fast) check_fast(*this);
  check_options(*this);
  device = open_device(device_name);
  check_input(device.is_cpu() || dtype() != Dtype::f64,
              "--precision: f64 runs only on the CPU; use f32 or bf16 on {}", device);
  if (threads > 0) nabla::set_num_threads(threads);
}

}  // namespace dinomaly
