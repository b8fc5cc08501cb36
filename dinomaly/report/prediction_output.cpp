#include "dinomaly/report/prediction_output.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <iterator>
#include <nlohmann/json.hpp>

#include "dinomaly/base/files.h"
#include "dinomaly/base/framework.h"
#include "dinomaly/base/json_text.h"
#include "dinomaly/base/numbers.h"
#include "dinomaly/image/image_files.h"
#include "dinomaly/image/npy_map.h"
#include "dinomaly/image/png_text.h"
#include "dinomaly/image/result_mark.h"
#include "dinomaly/image/tiff_map.h"
#include "dinomaly/report/overlay.h"
#include "dinomaly/report/table.h"
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

bool whole(const Verdict& verdict) { return verdict.inspected == Box{0, 0, verdict.width, verdict.height}; }

std::string area_of(const Verdict& verdict) { return name_of(whole(verdict) ? Area::whole : Area::crop); }

// Which thresholds spoke; the two need not agree.
std::vector<std::string> exceeded_by(const Verdict& verdict) {
  std::vector<std::string> names;
  if (verdict.anomalous) names.emplace_back("image");
  if (!verdict.regions.empty()) names.emplace_back("pixel");
  return names;
}

int64_t smallest_region(const Prediction& prediction, const OutputOptions& options) {
  return options.smallest_region > 0 ? options.smallest_region : smallest_shown(prediction.inspected);
}

constexpr const char* suffixes[] = {"_overlay.png", ".tiff", ".npy"};

void add_name(json& object, const std::string& field, const fs::path& path) {
  const std::string name = path.string();
  object[field] = name;
  if (utf8(name) == name) return;
  const auto* bytes = reinterpret_cast<const unsigned char*>(name.data());
  object[field + "_bytes"] = fmt::format("{:02x}", fmt::join(bytes, bytes + name.size(), ""));
}

json to_json(const Region& region) {
  const auto rounded = [](double value) { return std::round(value * 100) / 100; };
  return {{"box", {region.box.x, region.box.y, region.box.width, region.box.height}},
          {"area", region.area},
          {"peak", short_number(region.peak)},
          {"peak_at", {region.peak_x, region.peak_y}},
          {"centroid", {rounded(region.centroid_x), rounded(region.centroid_y)}}};
}

json to_json(const CountedPart& part) {
  if (part.pixels == 0) return nullptr;
  const Box& box = part.box;
  return {{"box", {box.x, box.y, box.width, box.height}}, {"pixels", part.pixels}};
}

std::string to_csv(const CountedPart& part) {
  if (part.pixels == 0) return "";
  return fmt::format("{} {} {} {} {}", part.box.x, part.box.y, part.box.width, part.box.height, part.pixels);
}

}  // namespace

std::string inspected_text(const Verdict& verdict) {
  const Box& box = verdict.inspected;
  if (whole(verdict)) return "whole image";
  return fmt::format("{} x {} pixels at ({}, {})", box.width, box.height, box.x, box.y);
}

MapFormat parse_map_format(const std::string& name) {
  if (name == "none") return MapFormat::none;
  if (name == "tiff") return MapFormat::tiff;
  if (name == "npy") return MapFormat::npy;
  fail_input("--map-format: '{}' is not one of none, tiff, npy", name);
}

bool is_taken(const fs::path& folder, const fs::path& name) {
  return std::any_of(std::begin(suffixes), std::end(suffixes), [&](const char* suffix) {
    std::error_code ignored;
    return fs::exists(with_suffix(folder, name, suffix), ignored);
  });
}

std::vector<std::string> remove_earlier_results(const fs::path& folder, const fs::path& name,
                                                const std::vector<fs::path>& written) {
  std::vector<std::string> stuck;
  for (const char* suffix : suffixes) {
    const fs::path path = with_suffix(folder, name, suffix);
    const bool is_new = std::find(written.begin(), written.end(), path) != written.end();
    if (is_new || !is_own_result(path) || (path.extension() == ".npy" && !is_result_folder(folder))) continue;
    std::error_code error;
    fs::remove(path, error);
    if (error)
      stuck.push_back(
          fmt::format("{}: of an earlier run, and cannot be removed: {}", path.string(), error.message()));
  }
  return stuck;
}

Image draw_prediction(const Image& rgb, const Prediction& prediction, const OutputOptions& options) {
  const Tensor& map = prediction.map();
  const std::vector<uint8_t> counted = prediction.counted();
  const ColourScale colours =
      options.colours ? *options.colours : own_scale(map, prediction.inspected, counted);
  return draw_overlay(rgb, map, prediction.inspected, colours, options.pixel_threshold.value_or(INFINITY),
                      smallest_region(prediction, options), counted);
}

// The flags of Prediction::counted() where the image is shown smaller.
static std::vector<uint8_t> shrunk(const Prediction& prediction, const Box& shown) {
  if (!prediction.roi().on()) return {};
  const Tensor& map = prediction.map();
  const MapPlace all{0, 0, static_cast<double>(map.size(1)), static_cast<double>(map.size(0))};
  std::vector<uint8_t> flags(static_cast<size_t>(shown.width * shown.height));
  for (const int64_t place : prediction.roi().on_map(all, shown.height, shown.width))
    flags[static_cast<size_t>(place)] = 1;
  return flags;
}

// Of an image that was read in strips there is only a smaller one, to which the map is shrunk.
std::string encode_overlay(const Image& rgb, const Prediction& prediction, const Verdict& verdict,
                           const OutputOptions& options) {
  Tensor map = prediction.map();
  Box box = prediction.inspected;
  std::vector<uint8_t> counted = prediction.counted();
  int64_t smallest = smallest_region(prediction, options);
  const int64_t pixels = map.numel(), shown = rgb.width * rgb.height;
  const std::string sizes =
      fmt::format("{} x {} of {} x {} pixels", rgb.width, rgb.height, map.size(1), map.size(0));
  if (shown < pixels) {
    map = shrink_map(map, rgb.width, rgb.height);
    box = {0, 0, rgb.width, rgb.height};  // tiles cover the whole image
    counted = shrunk(prediction, box);
    smallest = std::max<int64_t>(1, smallest * shown / pixels);
  }
  const ColourScale colours = options.colours ? *options.colours : own_scale(map, box, counted);
  std::string png = encode_png(
      draw_overlay(rgb, map, box, colours, options.pixel_threshold.value_or(INFINITY), smallest, counted));
  if (shown < pixels) png = with_png_text(png, "Smaller", sizes);
  // Uncalibrated, the colours of two images mean different values, and the strongest one need not be a defect.
  png = with_png_text(png, "Colours",
                      fmt::format("from {:.6g} to {:.6g}, {}", colours.low, colours.high,
                                  options.colours ? "calibrated" : "not calibrated: by this map alone"));
  return with_result_mark(with_png_text(png, "Inspected", inspected_text(verdict)));
}

Verdict judge_prediction(const InputImage& image, const Prediction& prediction,
                         const OutputOptions& options) {
  Verdict verdict;
  verdict.path = image.path;
  verdict.width = image.width;
  verdict.height = image.height;
  verdict.score = prediction.score;
  verdict.inspected = prediction.inspected;
  if (prediction.roi().on())
    verdict.roi = {prediction.roi().bounds(), prediction.roi().pixels(), prediction.roi().text()};
  verdict.threshold = options.image_threshold;
  verdict.pixel_threshold = options.pixel_threshold;
  verdict.anomalous = options.image_threshold && prediction.score > *options.image_threshold;
  if (options.pixel_threshold) {
    verdict.regions = find_regions(prediction.map(), prediction.inspected, *options.pixel_threshold,
                                   smallest_region(prediction, options), prediction.counted());
  }
  return verdict;
}

Verdict write_prediction(const InputImage& image, const Prediction& prediction, const fs::path& name,
                         const OutputOptions& options) {
  Verdict verdict = judge_prediction(image, prediction, options);
  if (options.folder.empty()) return verdict;
  const auto write = [&verdict](fs::path& written, const fs::path& path, const auto& save) {
    try {
      save(path);
      written = path;
    } catch (const InputError& error) {
      verdict.unwritten.emplace_back(error.what());
    }
  };
  if (options.overlays) {
    write(verdict.overlay, with_suffix(options.folder, name, "_overlay.png"), [&](const fs::path& path) {
      check_result_place(path);
      write_file(path, encode_overlay(image.rgb, prediction, verdict, options));
    });
  }
  if (options.maps != MapFormat::none) {
    const bool tiff = options.maps == MapFormat::tiff;
    write(verdict.map, with_suffix(options.folder, name, tiff ? ".tiff" : ".npy"), [&](const fs::path& path) {
      tiff ? save_tiff_map(path, prediction.map()) : save_npy_map(path, prediction.map());
    });
  }
  for (std::string& stuck : remove_earlier_results(options.folder, name, {verdict.overlay, verdict.map}))
    verdict.unwritten.push_back(std::move(stuck));
  return verdict;
}

json to_json(const Verdict& verdict) {
  json result;
  add_name(result, "image", verdict.path);
  if (!verdict.error.empty()) {
    result["error"] = verdict.error;
    return result;
  }
  json regions = json::array();
  for (const Region& region : verdict.regions) regions.push_back(to_json(region));
  json warnings = json::array();
  for (const ImageWarning& warning : verdict.warnings)
    warnings.push_back({{"kind", warning.kind}, {"text", warning.text}});
  const Box& box = verdict.inspected;
  result.update({{"width", verdict.width},
                 {"height", verdict.height},
                 {"area", area_of(verdict)},
                 {"inspected", {box.x, box.y, box.width, box.height}},
                 {"roi", to_json(verdict.roi)},
                 {"score", short_number(verdict.score)},
                 {"threshold", verdict.threshold ? json(short_number(*verdict.threshold)) : json(nullptr)},
                 {"anomalous", verdict.threshold ? json(verdict.anomalous) : json(nullptr)},
                 {"pixel_threshold",
                  verdict.pixel_threshold ? json(short_number(*verdict.pixel_threshold)) : json(nullptr)},
                 {"exceeded", exceeded_by(verdict)},
                 {"regions", regions},
                 {"warnings", warnings}});
  if (!verdict.overlay.empty()) add_name(result, "overlay", verdict.overlay);
  if (!verdict.map.empty()) add_name(result, "map", verdict.map);
  return result;
}

std::string csv_header() {
  return "image,width,height,score,threshold,anomalous,regions,overlay,map,error,area,inspected,pixel_"
         "threshold,"
         "exceeded,warnings,roi";
}

std::string to_csv(const Verdict& verdict) {
  const std::string image = csv_field(verdict.path.string());
  if (!verdict.error.empty()) return fmt::format("{},,,,,,,,,{},,,,,,", image, csv_field(verdict.error));
  const Box& box = verdict.inspected;
  std::vector<std::string> warnings;
  for (const ImageWarning& warning : verdict.warnings) warnings.push_back(warning.text);
  return fmt::format("{},{},{},{},{},{},{},{},{},,{},{} {} {} {},{},{},{},{}", image, verdict.width,
                     verdict.height, short_number(verdict.score),
                     verdict.threshold ? fmt::format("{}", short_number(*verdict.threshold)) : "",
                     !verdict.threshold  ? ""
                     : verdict.anomalous ? "true"
                                         : "false",
                     verdict.regions.size(), csv_field(verdict.overlay.string()),
                     csv_field(verdict.map.string()), area_of(verdict), box.x, box.y, box.width, box.height,
                     verdict.pixel_threshold ? fmt::format("{}", short_number(*verdict.pixel_threshold)) : "",
                     fmt::join(exceeded_by(verdict), " "),
                     csv_field(fmt::format("{}", fmt::join(warnings, "; "))), to_csv(verdict.roi));
}

std::string to_text(const Verdict& verdict) {
  const char* decision = !verdict.threshold ? "-" : verdict.anomalous ? "anomalous" : "good";
  std::string text =
      fmt::format("{:<10} {:.6f}  {}", decision, verdict.score, one_line(verdict.path.string()));
  const size_t count = verdict.regions.size();
  const std::string regions = counted(count, "region");
  if (verdict.anomalous && count == 0 && verdict.pixel_threshold) {
    text += "  (no region: the score is above the threshold of images, no pixels are above theirs)";
  } else if (verdict.threshold && !verdict.anomalous && count > 0) {
    text +=
        fmt::format("  ({} above the threshold of pixels; the score is not above that of images)", regions);
  } else if (count > 0) {
    text += fmt::format("  ({})", regions);
  }
  if (!whole(verdict)) text += fmt::format("  (inspected: {})", inspected_text(verdict));
  if (verdict.roi.pixels > 0) text += fmt::format("  (counted: {})", verdict.roi.text);
  return text;
}

}  // namespace dinomaly
