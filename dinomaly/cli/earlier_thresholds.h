// What a new calibration would take from a model that has thresholds already.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "dinomaly/data/dataset.h"
#include "dinomaly/inference/predict.h"
#include "dinomaly/model/calibration.h"

namespace dinomaly {

// Counts how many images that should be good the earlier thresholds call anomalous: many speak against the images.
class EarlierThresholds {
 public:
  explicit EarlierThresholds(const Calibration& earlier) : earlier_(earlier) {}
  void add(const Sample& sample, const Prediction& prediction);
  // Whether these are more than false alarms: three standard deviations above what was promised.
  bool doubt() const;
  std::string text() const;

 private:
  Calibration earlier_;
  int64_t images_ = 0, alarms_ = 0;
};

// Names the thresholds of `earlier` that `found` has none for: of objects (or of another kind of objects) and of
// categories. Empty where nothing is lost.
std::string lost_thresholds(const std::optional<Calibration>& earlier, const Calibration& found);

}  // namespace dinomaly
