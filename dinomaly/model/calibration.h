// Calibration turns raw scores into decisions: the thresholds of a model and the colour scale of its
// maps. It is stored in the model's file and never changes scores or maps themselves.
// inference/calibrate.h computes it.
#pragma once

#include <cstdint>
#include <map>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <vector>

#include "dinomaly/image/inspection.h"

namespace dinomaly {

enum class CalibrationMethod {
  good,  // from good images alone, for a stated rate of false alarms
  f1,    // the largest F1 on labelled images
};
CalibrationMethod parse_calibration_method(const std::string& name);  // "good" or "f1", else InputError
std::string name_of(CalibrationMethod method);

// Throws InputError for a rate that is not from 1e-12 to below 1: no smaller one could ever be measured.
void check_false_alarm_rate(double rate);

// What the images of an object are: views of it, an RGB and an infrared image, whose scores add up, or views that are cut
// out of one picture (MANTA). Earlier versions stored the last as views.
enum class ObjectKind { none, views, pairs, strips };

// An image is judged anomalous if its score is above `image`, a pixel if its value is above `pixel`, an object of
// several images if its score is above `object`.
struct Thresholds {
  double image = 0, pixel = 0;
  std::optional<double> object = {};  // none: it was found without such objects, or without good ones
  bool operator==(const Thresholds&) const = default;
};

// The values shown as the first and the last colour of a heatmap.
struct ColourScale {
  double low = 0, high = 0.5;
  bool operator==(const ColourScale&) const = default;
};

struct Calibration {
  CalibrationMethod method = CalibrationMethod::good;
  double false_alarm_rate = 0.01;  // as requested
  // What this many good images can guarantee: another one is above a threshold with at most this probability.
  // Larger than false_alarm_rate if there are fewer than 1 / rate - 1 images. `good` only.
  double promised_rate = 0;
  int64_t good_images = 0, anomalous_images = 0;
  ObjectKind objects = ObjectKind::none;  // of those it was found on, too; with tiles always none
  int64_t good_objects = 0;
  Inspection inspection = {};
  ColourScale colours = {};  // from what is usual on good images to twice as far as the threshold of pixels
  Thresholds all = {};
  std::map<std::string, Thresholds> categories = {};
  // image_fingerprint() of the images it was found on, sorted: at its thresholds they measure nothing. Earlier versions
  // stored file_fingerprint(), or nothing at all.
  std::vector<std::string> images = {};

  // The category's own thresholds if it has any, otherwise the common ones.
  const Thresholds& of(const std::string& category) const;
  nlohmann::json to_json() const;
  nlohmann::json summary() const;  // to_json() without `images`, for people
  // Throws InputError naming `source` for anything that to_json() cannot have written.
  static Calibration from_json(const nlohmann::json& value, const std::string& source);
  // The same as text: the metadata "calibration" of a model file.
  std::string to_text() const;
  static Calibration from_text(const std::string& text, const std::string& source);
  bool operator==(const Calibration&) const = default;
};

}  // namespace dinomaly
