#include "dinomaly/model/calibration.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <nlohmann/json.hpp>
#include <utility>

#include "dinomaly/base/framework.h"
#include "dinomaly/base/json_text.h"
#include "tensor/error.h"
#include "tensor/io/printable.h"

namespace dinomaly {

using nlohmann::json;

namespace {

json to_json(const Thresholds& thresholds) {
  json result = {{"image", thresholds.image}, {"pixel", thresholds.pixel}};
  if (thresholds.object) result["object"] = *thresholds.object;
  return result;
}

constexpr std::array object_names{"none", "views", "pairs", "strips"};

ObjectKind objects_from(const json& value, const std::string& source) {
  if (!value.contains("objects")) return ObjectKind::none;  // an earlier version, or images alone
  for (size_t i = 0; i < object_names.size(); ++i) {
    if (value["objects"] == object_names[i]) return static_cast<ObjectKind>(i);
  }
  fail_input("{}: 'objects' of its calibration is not none, views, pairs or strips", source);
}

// Scores are f32: above a number that is infinite as such, none would ever be.
double number(const json& value, const char* name, const std::string& source) {
  check_input(value.is_object() && value.contains(name) && value[name].is_number(),
              "{}: its calibration has no number '{}'", source, name);
  const double found = value[name].get<double>();
  check_input(std::isfinite(static_cast<float>(found)),
              "{}: '{}' of its calibration is {}, too large a number", source, name, found);
  return found;
}

double share(const json& value, const char* name, const std::string& source) {
  const double found = number(value, name, source);
  check_input(found >= 0 && found <= 1, "{}: '{}' of its calibration is {}, not between 0 and 1", source,
              name, found);
  return found;
}

// What stands in the file, for messages.
std::string as_found(const json& value) {
  constexpr size_t shown = 60;
  return printable(json_text(value).substr(0, shown));
}

CalibrationMethod method_from(const json& value, const std::string& source) {
  for (const CalibrationMethod method : {CalibrationMethod::good, CalibrationMethod::f1}) {
    if (value == name_of(method)) return method;
  }
  fail_input("{}: 'method' of its calibration is {}, neither good nor f1", source, as_found(value));
}

// Before models knew of areas, they were calibrated on the centre crop.
Area area_from(const json& value, const Tiling& tiling, const std::string& source) {
  if (!value.contains("area")) return tiling.on() ? Area::whole : Area::crop;
  for (const Area area : {Area::whole, Area::crop}) {
    if (value["area"] == name_of(area)) return area;
  }
  fail_input("{}: 'area' of its calibration is {}, neither whole nor crop", source, as_found(value["area"]));
}

json to_json(const RegionOfInterest& roi) {
  json boxes = json::array();
  for (const Box& box : roi.boxes()) boxes.push_back({box.x, box.y, box.width, box.height});
  return {{"size", {roi.width(), roi.height()}}, {"boxes", boxes}};
}

// `count` whole numbers.
std::optional<std::vector<int64_t>> integers(const json& value, size_t count) {
  if (!value.is_array() || value.size() != count ||
      !std::all_of(value.begin(), value.end(), [](const json& item) { return item.is_number_integer(); }))
    return std::nullopt;
  return value.get<std::vector<int64_t>>();
}

RegionOfInterest roi_from(const json& value, const std::string& source) {
  if (!value.contains("roi")) return {};
  const json& roi = value["roi"];
  const auto region = [&]() -> std::optional<RegionOfInterest> {
    if (!roi.is_object() || !roi.contains("boxes") || !roi["boxes"].is_array()) return std::nullopt;
    const auto size = integers(roi.value("size", json()), 2);
    std::vector<Box> boxes;
    for (const json& item : roi["boxes"]) {
      const auto box = integers(item, 4);
      if (!box) return std::nullopt;
      boxes.push_back({(*box)[0], (*box)[1], (*box)[2], (*box)[3]});
    }
    return size ? RegionOfInterest::of_boxes(std::move(boxes), (*size)[0], (*size)[1]) : std::nullopt;
  }();
  check_input(region.has_value(), "{}: 'roi' of its calibration is no region of an image", source);
  return *region;
}

// The same rules as for flags, but nobody has given any.
Inspection inspection_from(const json& value, const Tiling& tiling, const std::string& source) {
  const Inspection result{tiling, area_from(value, tiling, source), roi_from(value, source)};
  try {
    validate(result);
  } catch (const InputError&) {
    fail_input("{}: 'tile' {}, 'overlap' {} and 'area' {} of its calibration do not go together", source,
               tiling.size, tiling.overlap, name_of(result.area));
  }
  return result;
}

Thresholds thresholds_from(const json& value, const std::string& source) {
  Thresholds result{number(value, "image", source), number(value, "pixel", source)};
  if (value.contains("object")) result.object = number(value, "object", source);
  return result;
}

std::vector<std::string> images_from(const json& value, const std::string& source) {
  std::vector<std::string> result;
  if (!value.contains("images")) return result;
  check_input(value["images"].is_array(), "{}: 'images' of its calibration is no list", source);
  for (const json& image : value["images"]) {
    check_input(image.is_string(), "{}: 'images' of its calibration holds something else than names", source);
    result.push_back(image.get<std::string>());
  }
  return result;
}

}  // namespace

CalibrationMethod parse_calibration_method(const std::string& name) {
  if (name == "good") return CalibrationMethod::good;
  if (name == "f1") return CalibrationMethod::f1;
  fail_input("--method: '{}' is not one of good, f1", name);
}

void check_false_alarm_rate(double rate) {
  check_input(rate >= 1e-12 && rate < 1, "--false-alarm-rate: {} is not from 1e-12 to below 1", rate);
}

std::string name_of(CalibrationMethod method) { return method == CalibrationMethod::good ? "good" : "f1"; }

const Thresholds& Calibration::of(const std::string& category) const {
  const auto own = categories.find(category);
  return own == categories.end() ? all : own->second;
}

json Calibration::to_json() const {
  json own = json::object();
  for (const auto& [name, thresholds] : categories) own[name] = dinomaly::to_json(thresholds);
  json result = {{"method", name_of(method)},
                 {"false_alarm_rate", false_alarm_rate},
                 {"promised_rate", promised_rate},
                 {"good_images", good_images},
                 {"anomalous_images", anomalous_images},
                 {"tile", inspection.tiling.size},
                 {"overlap", inspection.tiling.overlap},
                 {"area", name_of(inspection.area)},
                 {"colours", {{"low", colours.low}, {"high", colours.high}}},
                 {"thresholds", dinomaly::to_json(all)},
                 {"categories", own},
                 {"images", images}};
  if (inspection.roi.on()) result["roi"] = dinomaly::to_json(inspection.roi);
  if (objects == ObjectKind::none) return result;
  result["objects"] = object_names.at(static_cast<size_t>(objects));
  result["good_objects"] = good_objects;
  return result;
}

json Calibration::summary() const {
  json result = to_json();
  result.erase("images");
  constexpr size_t most_listed = 8;
  if (const size_t count = inspection.roi.boxes().size(); count > most_listed)
    result["roi"]["boxes"] = fmt::format("{} of them: {}", count, inspection.roi.text());
  return result;
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
  check_input(own.is_object(), "{}: 'categories' of its calibration is no JSON object", source);
  result.method = method_from(method, source);
  result.false_alarm_rate = share(value, "false_alarm_rate", source);
  result.promised_rate = share(value, "promised_rate", source);
  result.good_images = images("good_images", "good_pictures");
  result.anomalous_images = images("anomalous_images", "anomalous_pictures");
  result.objects = objects_from(value, source);
  if (result.objects != ObjectKind::none) result.good_objects = whole("good_objects");
  result.inspection = inspection_from(value, {whole("tile"), whole("overlap")}, source);
  result.colours = {number(colours, "low", source), number(colours, "high", source)};
  check_input(result.colours.low < result.colours.high, "{}: the colour scale of its calibration is empty",
              source);
  result.all = thresholds_from(part("thresholds"), source);
  for (const auto& [name, thresholds] : own.items()) {
    result.categories[name] = thresholds_from(thresholds, source);
  }
  result.images = images_from(value, source);
  return result;
}

std::string Calibration::to_text() const { return json_text(to_json()); }

Calibration Calibration::from_text(const std::string& text, const std::string& source) {
  return from_json(parse_json(text, source + ": its calibration"), source);
}

}  // namespace dinomaly
