// From raw scores to decisions: the thresholds of a model, found on pictures it has not been trained on, and
// the colour scale of its maps. Scores and maps themselves are never changed by it.
#pragma once

#include <functional>
#include <map>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "dinomaly/data/dataset.h"
#include "dinomaly/predict.h"

namespace dinomaly {

enum class CalibrationMethod {
  good,  // from good pictures alone, for a stated rate of false alarms
  f1,    // the largest F1 on labelled pictures
};
CalibrationMethod parse_calibration_method(const std::string& name);  // "good" or "f1", else InputError
std::string name_of(CalibrationMethod method);

// A picture is judged anomalous if its score is above `image`, a pixel if its value is above `pixel`.
struct Thresholds {
  double image = 0, pixel = 0;
  bool operator==(const Thresholds&) const = default;
};

// The values that heatmaps show as their first and last colour.
struct ColourScale {
  double low = 0, high = 0.5;
  bool operator==(const ColourScale&) const = default;
};

struct CalibrationOptions {
  CalibrationMethod method = CalibrationMethod::good;
  double false_alarm_rate = 0.01;
  bool per_category = false;  // thresholds of each category besides those of all
  Tiling tiling;
  int64_t batch = 16;
  std::function<void()> progress;  // called after each picture
};

struct Calibration {
  CalibrationMethod method = CalibrationMethod::good;
  double false_alarm_rate = 0.01;  // as asked for
  // What so few good pictures can promise: a further one is above a threshold with at most this probability.
  // Larger than false_alarm_rate where there are fewer than 1 / rate - 1 of them. `good` only.
  double promised_rate = 0;
  int64_t good_pictures = 0, anomalous_pictures = 0;
  Tiling tiling = {};
  ColourScale colours = {};  // from what is usual on good pictures to twice as far as the threshold of pixels
  Thresholds all = {};
  std::map<std::string, Thresholds> categories = {};

  // Of the category where it has its own, otherwise those of all.
  const Thresholds& of(const std::string& category) const;
  nlohmann::json to_json() const;
  // Throws InputError naming `source` for anything to_json() cannot have written.
  static Calibration from_json(const nlohmann::json& value, const std::string& source);
  // The same as text, as a model file's metadata holds it under "calibration".
  std::string to_text() const;
  static Calibration from_text(const std::string& text, const std::string& source);
  bool operator==(const Calibration&) const = default;
};

// Runs the model over the samples. `good` uses the normal ones only: the threshold of pictures is a quantile
// of their scores, that of pixels a quantile of their maps' largest values, so that the stated rate of good
// pictures shows a region at all. `f1` needs both kinds; pixels of pictures without masks are not counted,
// and without any mask the threshold of pixels is that of `good`. Throws InputError where the pictures it
// needs are missing and for a rate outside (0, 1).
Calibration calibrate(Dinomaly& model, const std::vector<Sample>& samples,
                      const CalibrationOptions& options = {});

// The k-th smallest score with k = ceil((n + 1)(1 - rate)), at most n: if the scores are exchangeable with a
// further one, that one is above it with probability at most (n + 1 - k) / (n + 1) (split conformal
// prediction). Throws InputError without scores.
double good_quantile(std::vector<float> scores, double rate);
double promised_rate(int64_t count, double rate);

// The threshold of "score > threshold" with the largest F1: half way between the last score called anomalous
// and the next lower one. Throws InputError if a class is absent or a score not finite.
double best_f1_threshold(std::span<const float> scores, std::span<const uint8_t> labels);

}  // namespace dinomaly
