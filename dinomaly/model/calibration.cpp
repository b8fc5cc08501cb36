#include "dinomaly/model/calibration.h"

#include <cmath>
#include <nlohmann/json.hpp>

#include "dinomaly/base/framework.h"
#include "dinomaly/base/json_text.h"
#include "tensor/error.h"

namespace dinomaly {

using nlohmann::json;

namespace {

json to_json(const Thresholds& thresholds) {
  return {{"image", thresholds.image}, {"pixel", thresholds.pixel}};
}

double number(const json& value, const char* name, const std::string& source) {
  check_input(value.is_object() && value.contains(name) && value[name].is_number() &&
                  std::isfinite(value[name].get<double>()),
              "{}: its calibration has no number '{}'", source, name);
  return value[name].get<double>();
}

Thresholds thresholds_from(const json& value, const std::string& source) {
  return {number(value, "image", source), number(value, "pixel", source)};
}

}  // namespace

CalibrationMethod parse_calibration_method(const std::string& name) {
  if (name == "good") return CalibrationMethod::good;
  if (name == "f1") return CalibrationMethod::f1;
  fail_input("--method: '{}' is not one of good, f1", name);
}

std::string name_of(CalibrationMethod method) { return method == CalibrationMethod::good ? "good" : "f1"; }

const Thresholds& Calibration::of(const std::string& category) const {
  const auto own = categories.find(category);
  return own == categories.end() ? all : own->second;
}

json Calibration::to_json() const {
  json own = json::object();
  for (const auto& [name, thresholds] : categories) own[name] = dinomaly::to_json(thresholds);
  return {{"method", name_of(method)},
          {"false_alarm_rate", false_alarm_rate},
          {"promised_rate", promised_rate},
          {"good_images", good_images},
          {"anomalous_images", anomalous_images},
          {"tile", tiling.size},
          {"overlap", tiling.overlap},
          {"colours", {{"low", colours.low}, {"high", colours.high}}},
          {"thresholds", dinomaly::to_json(all)},
          {"categories", own}};
}

Calibration Calibration::from_json(const json& value, const std::string& source) {
  const auto part = [&](const char* name) {
    check_input(value.is_object() && value.contains(name), "{}: its calibration has no '{}'", source, name);
    return value[name];
  };
  const auto whole = [&](const char* name) {
    const double count = number(value, name, source);
    check_input(count >= 0 && count <= 1e15 && count == std::floor(count),
                "{}: '{}' of its calibration is {}", source, name, count);
    return static_cast<int64_t>(count);
  };
  // Models saved before images were called images have "good_pictures" and "anomalous_pictures".
  const auto images = [&](const char* name, const char* earlier_name) {
    return whole(value.is_object() && value.contains(earlier_name) ? earlier_name : name);
  };
  Calibration result;
  const json method = part("method"), own = part("categories"), colours = part("colours");
  check_input(method.is_string() && own.is_object(), "{}: its calibration is malformed", source);
  result.method = parse_calibration_method(method.get<std::string>());
  result.false_alarm_rate = number(value, "false_alarm_rate", source);
  result.promised_rate = number(value, "promised_rate", source);
  result.good_images = images("good_images", "good_pictures");
  result.anomalous_images = images("anomalous_images", "anomalous_pictures");
  result.tiling = {whole("tile"), whole("overlap")};
  validate(result.tiling);
  result.colours = {number(colours, "low", source), number(colours, "high", source)};
  check_input(result.colours.low < result.colours.high, "{}: the colour scale of its calibration is empty",
              source);
  result.all = thresholds_from(part("thresholds"), source);
  for (const auto& [name, thresholds] : own.items()) {
    result.categories[name] = thresholds_from(thresholds, source);
  }
  return result;
}

std::string Calibration::to_text() const { return json_text(to_json()); }

Calibration Calibration::from_text(const std::string& text, const std::string& source) {
  const json value = json::parse(text, nullptr, false);
  check_input(!value.is_discarded(), "{}: its calibration is not JSON", source);
  return from_json(value, source);
}

}  // namespace dinomaly
