#include "dinomaly/cli/earlier_thresholds.h"

#include <fmt/core.h>

#include <algorithm>
#include <cmath>
#include <vector>

#include "dinomaly/base/numbers.h"
#include "tensor/io/printable.h"

namespace dinomaly {

void EarlierThresholds::add(const Sample& sample, const Prediction& prediction) {
  ++images_;
  alarms_ += prediction.score > earlier_.of(sample.category).image;
}

bool EarlierThresholds::doubt() const {
  constexpr double least_rate = 0.05;
  const double rate = std::max(earlier_.promised_rate, least_rate), count = static_cast<double>(images_);
  return static_cast<double>(alarms_) > count * rate + 3 * std::sqrt(count * rate * (1 - rate));
}

std::string EarlierThresholds::text() const {
  return fmt::format("{} of {} that should be good {} anomalous by the thresholds of the model", alarms_,
                     counted(images_, "image"), alarms_ == 1 ? "is" : "are");
}

namespace {

bool has_objects(const Calibration& calibration) {
  return calibration.all.object || std::any_of(calibration.categories.begin(), calibration.categories.end(),
                                               [](const auto& entry) { return entry.second.object; });
}

}  // namespace

std::string lost_thresholds(const std::optional<Calibration>& earlier, const Calibration& found) {
  if (!earlier) return "";
  std::vector<std::string> lost;
  if (has_objects(*earlier) && (!has_objects(found) || earlier->objects != found.objects)) {
    const std::string why = found.inspection.tiling.on() ? " (objects are not judged in tiles)" : "";
    lost.push_back("objects" + why);
  }
  for (const auto& [name, thresholds] : earlier->categories) {
    if (!found.categories.contains(name)) lost.push_back("'" + one_line(name) + "'");
  }
  if (lost.empty()) return "";
  constexpr size_t most = 10;
  std::string text = lost[0];
  for (size_t i = 1; i < std::min(lost.size(), most); ++i) text += ", " + lost[i];
  if (lost.size() > most) text += fmt::format(" and {} more", lost.size() - most);
  return fmt::format("the model has thresholds of {}, and the new ones would be without", text);
}

}  // namespace dinomaly
