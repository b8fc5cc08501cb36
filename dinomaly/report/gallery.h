// The images of a report.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>

#include "dinomaly/report/html_report.h"

namespace dinomaly {

// RFC 4648, with padding.
std::string base64(const std::string& bytes);

// Adds to `samples` (all test images of the input's categories, in order) "image", "overlay" and, for those
// with a mask, "mask": data URIs of the crop that the model saw, at most 320 pixels per side. Only the
// input.images worst samples get them: misses and false alarms, ordered by distance from the threshold, then
// the nearest to being one.
void add_gallery(nlohmann::json& samples, const HtmlReportInput& input, const ColourScale& colours,
                 double threshold);

}  // namespace dinomaly
