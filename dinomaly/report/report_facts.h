// What a report says in words: what was done with what, and what came of it.
#pragma once

#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

#include "dinomaly/report/html_report.h"

namespace dinomaly {

// The part of each image that a predictor of this config has judged.
std::string inspected_area(const ImageConfig& image);

// [[name, text], ...]: program, model, encoder, data, sizes, inspected area, training, precision.
nlohmann::json report_about(const HtmlReportInput& input);

// Sentences: how many of the images are judged rightly at the threshold, how far so many images can be trusted, and how
// well scores separate them at all. `used`: of each image, whether the threshold was found on it; of a calibrated model
// these are in no rate.
nlohmann::json report_verdict(const HtmlReportInput& input, double threshold,
                              const std::vector<float>& scores, const std::vector<uint8_t>& labels,
                              const std::vector<bool>& used);

}  // namespace dinomaly
