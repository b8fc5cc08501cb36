// The flags of `predict`, and its help.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "dinomaly/cli/alarm_flags.h"
#include "dinomaly/cli/detector_flags.h"
#include "dinomaly/cli/predict_video.h"
#include "dinomaly/cli/verdict_flags.h"

namespace CLI {
class App;
}

namespace dinomaly {

struct PredictFlags {
  DetectorFlags detector;
  std::vector<std::string> inputs;
  std::string watched, out, moved_to, maps = "none", object_by;
  VerdictFlags verdict;
  std::optional<double> object_threshold;
  InspectionFlags inspection;
  VideoFlags video;
  AlarmFlags alarm;
  bool json = false, csv = false, no_overlay = false, fail_on_anomaly = false;
};

void add_predict_flags(CLI::App& command, PredictFlags& flags);

}  // namespace dinomaly
