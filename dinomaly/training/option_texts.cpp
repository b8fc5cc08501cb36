// TrainOptions as they are written: in a config file, which is read and written, and in the words of a command line.
#include <algorithm>
#include <array>
#include <cctype>
#include <cmath>
#include <limits>
#include <nlohmann/json.hpp>

#include "dinomaly/base/files.h"
#include "dinomaly/base/numbers.h"
#include "dinomaly/base/option_error.h"
#include "dinomaly/training/train_options.h"
#include "tensor/io/printable.h"

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

}  // namespace dinomaly
