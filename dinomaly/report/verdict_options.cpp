#include "dinomaly/report/verdict_options.h"

#include <cmath>
#include <map>
#include <vector>

#include "dinomaly/base/did_you_mean.h"
#include "dinomaly/base/framework.h"
#include "dinomaly/inference/open_detector.h"

namespace dinomaly {

namespace {

std::vector<std::string> categories_of(const std::map<std::string, Thresholds>& categories) {
  std::vector<std::string> names;
  for (const auto& [name, thresholds] : categories) names.push_back(name);
  return names;
}

void take_calibrated(const VerdictFlags& flags, const std::string& model, const Calibration& calibration,
                     const Inspection& inspection, OutputOptions& output) {
  check_input(flags.category.empty() || calibration.categories.contains(flags.category),
              "--category: {} has no thresholds of '{}' (calibrate --per-category){}", model, flags.category,
              did_you_mean(flags.category, categories_of(calibration.categories)));
  if (!flags.threshold) check_thresholds_fit(model, calibration, inspection, ", or give --threshold");
  const Thresholds& thresholds = calibration.of(flags.category);
  if (calibration.inspection == inspection) {
    output.image_threshold = thresholds.image;
    output.pixel_threshold = thresholds.pixel;
  }
  output.colours = calibration.colours;
}

}  // namespace

void check_verdict_flags(const VerdictFlags& flags) {
  check_input(flags.min_area.value_or(1) >= 1, "--min-area: {} is not positive", *flags.min_area);
}

double checked_threshold(const char* flag, double value) {
  check_input(std::isfinite(static_cast<float>(value)),
              "{}: {} is no number within the range of scores, which are f32", flag, value);
  return static_cast<float>(value);
}

OutputOptions verdict_options(const VerdictFlags& flags, const std::string& model,
                              const std::optional<Calibration>& calibration, const Inspection& inspection) {
  check_verdict_flags(flags);
  OutputOptions output;
  output.smallest_region = flags.min_area.value_or(0);
  if (calibration)
    take_calibrated(flags, model, *calibration, inspection, output);
  else
    check_input(flags.category.empty(), "--category: {} is not calibrated", model);
  if (flags.threshold) output.image_threshold = checked_threshold("--threshold", *flags.threshold);
  if (flags.pixel_threshold)
    output.pixel_threshold = checked_threshold("--pixel-threshold", *flags.pixel_threshold);
  return output;
}

std::string without_decision(const std::string& model, const OutputOptions& output) {
  if (output.image_threshold) return "";
  return model +
         ": has no thresholds, so no image is called good or anomalous; run dinomaly calibrate, or give "
         "--threshold";
}

}  // namespace dinomaly
