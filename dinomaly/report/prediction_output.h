// The output for one prediction: a line, an overlay, the raw map.
#pragma once

#include <filesystem>
#include <map>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>

#include "dinomaly/image/regions.h"
#include "dinomaly/inference/predict.h"
#include "dinomaly/model/calibration.h"

namespace dinomaly {

enum class MapFormat { none, tiff, npy };
MapFormat parse_map_format(const std::string& name);  // "none", "tiff" or "npy", else InputError

struct OutputOptions {
  std::filesystem::path folder;  // empty: no files
  bool overlays = true;
  MapFormat maps = MapFormat::none;
  std::optional<double> image_threshold, pixel_threshold;  // none: no decision, no regions
  ColourScale colours;
  int64_t smallest_region = 1;  // pixels
};

// One image's outcome.
struct Verdict {
  std::filesystem::path path, overlay, map;  // empty if none was written
  int64_t width = 0, height = 0;
  double score = 0;
  std::optional<double> threshold;
  bool anomalous = false;
  std::vector<Region> regions;
  std::string error;  // not empty: the image could not be read
};

// Makes the decision, finds the regions and writes FOLDER/NAME_overlay.png and FOLDER/NAME.tiff or .npy, each
// whole or not at all. `name` may contain folders.
Verdict write_prediction(const InputImage& image, const Prediction& prediction,
                         const std::filesystem::path& name, const OutputOptions& options);

// {"image", "width", "height", "score", "threshold", "anomalous", "regions": [{"box": [x, y, width, height],
// "area", "peak", "peak_at": [x, y], "centroid": [x, y]}], "overlay", "map"}, or {"image", "error"}. Without
// a threshold, "threshold" and "anomalous" are null.
nlohmann::json to_json(const Verdict& verdict);
// "anomalous  0.123456  path  (2 regions)".
std::string to_text(const Verdict& verdict);

}  // namespace dinomaly
