#include "dinomaly/report/prediction_output.h"

#include <cmath>
#include <nlohmann/json.hpp>

#include "dinomaly/base/framework.h"
#include "dinomaly/image/npy_map.h"
#include "dinomaly/image/tiff_map.h"
#include "dinomaly/report/overlay.h"
#include "tensor/error.h"
#include "tensor/io/printable.h"

namespace dinomaly {

using nlohmann::json;
namespace fs = std::filesystem;

namespace {

// NAME may end in something like ".5", which replace_extension would take for an extension.
fs::path with_suffix(const fs::path& folder, const fs::path& name, const char* suffix) {
  fs::path path = folder / name;
  path += suffix;
  return path;
}

json to_json(const Region& region) {
  const auto rounded = [](double value) { return std::round(value * 100) / 100; };
  return {{"box", {region.box.x, region.box.y, region.box.width, region.box.height}},
          {"area", region.area},
          {"peak", region.peak},
          {"peak_at", {region.peak_x, region.peak_y}},
          {"centroid", {rounded(region.centroid_x), rounded(region.centroid_y)}}};
}

}  // namespace

MapFormat parse_map_format(const std::string& name) {
  if (name == "none") return MapFormat::none;
  if (name == "tiff") return MapFormat::tiff;
  if (name == "npy") return MapFormat::npy;
  fail_input("--map-format: '{}' is not one of none, tiff, npy", name);
}

Verdict write_prediction(const InputImage& image, const Prediction& prediction, const fs::path& name,
                         const OutputOptions& options) {
  Verdict verdict;
  verdict.path = image.path;
  verdict.width = image.width;
  verdict.height = image.height;
  verdict.score = prediction.score;
  verdict.threshold = options.image_threshold;
  verdict.anomalous = options.image_threshold && prediction.score > *options.image_threshold;
  if (options.pixel_threshold) {
    verdict.regions = find_regions(prediction.map(), prediction.inspected, *options.pixel_threshold,
                                   options.smallest_region);
  }
  if (options.folder.empty()) return verdict;
  if (options.overlays) {
    verdict.overlay = with_suffix(options.folder, name, "_overlay.png");
    save_png(verdict.overlay, draw_overlay(image.rgb, prediction.map(), prediction.inspected, options.colours,
                                           options.pixel_threshold.value_or(INFINITY)));
  }
  if (options.maps != MapFormat::none) {
    const bool tiff = options.maps == MapFormat::tiff;
    verdict.map = with_suffix(options.folder, name, tiff ? ".tiff" : ".npy");
    tiff ? save_tiff_map(verdict.map, prediction.map()) : save_npy_map(verdict.map, prediction.map());
  }
  return verdict;
}

json to_json(const Verdict& verdict) {
  if (!verdict.error.empty()) return {{"image", verdict.path.string()}, {"error", verdict.error}};
  json regions = json::array();
  for (const Region& region : verdict.regions) regions.push_back(to_json(region));
  json result = {{"image", verdict.path.string()},
                 {"width", verdict.width},
                 {"height", verdict.height},
                 {"score", verdict.score},
                 {"threshold", verdict.threshold ? json(*verdict.threshold) : json(nullptr)},
                 {"anomalous", verdict.threshold ? json(verdict.anomalous) : json(nullptr)},
                 {"regions", regions}};
  if (!verdict.overlay.empty()) result["overlay"] = verdict.overlay.string();
  if (!verdict.map.empty()) result["map"] = verdict.map.string();
  return result;
}

std::string to_text(const Verdict& verdict) {
  const char* decision = !verdict.threshold ? "-" : verdict.anomalous ? "anomalous" : "good";
  std::string text =
      fmt::format("{:<10} {:.6f}  {}", decision, verdict.score, one_line(verdict.path.string()));
  if (!verdict.regions.empty())
    text += fmt::format("  ({} region{})", verdict.regions.size(), verdict.regions.size() == 1 ? "" : "s");
  return text;
}

}  // namespace dinomaly
