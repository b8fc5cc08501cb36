// Which thresholds judge an image: the model's own, or those that a user gives.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "dinomaly/image/inspection.h"
#include "dinomaly/model/calibration.h"
#include "dinomaly/report/prediction_output.h"

namespace dinomaly {

// Named as the flags of `predict`.
struct VerdictFlags {
  std::string category;  // whose thresholds; empty: those of all
  std::optional<double> threshold, pixel_threshold;
  std::optional<int64_t> min_area;
};

// Throws InputError for what is wrong whatever the model.
void check_verdict_flags(const VerdictFlags& flags);

// As the scores, an f32: what is printed of a score, with the fewest digits that are it, is then that score. With NaN or
// infinity every image would be good: throws InputError naming the flag.
double checked_threshold(const char* flag, double value);

// The thresholds, smallest region and colours of a model; no files. Thresholds of another inspection do not count.
// Throws InputError naming `model` for a category it has no thresholds of, and where a threshold of images is wanted
// but was found with another inspection.
OutputOptions verdict_options(const VerdictFlags& flags, const std::string& model,
                              const std::optional<Calibration>& calibration, const Inspection& inspection);

// What to tell a user whose images get no decision, since nobody gave a threshold; empty where they get one.
std::string without_decision(const std::string& model, const OutputOptions& output);

}  // namespace dinomaly
