// The output for one prediction: a line, an overlay, the raw map.
#pragma once

#include <filesystem>
#include <map>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <vector>

#include "dinomaly/image/regions.h"
#include "dinomaly/inference/predict.h"
#include "dinomaly/model/calibration.h"
#include "dinomaly/model/training_images.h"

namespace dinomaly {

enum class MapFormat { none, tiff, npy };
MapFormat parse_map_format(const std::string& name);  // "none", "tiff" or "npy", else InputError

struct OutputOptions {
  std::filesystem::path folder;  // empty: no files
  bool overlays = true;
  MapFormat maps = MapFormat::none;
  std::optional<double> image_threshold, pixel_threshold;  // none: no decision, no regions
  std::optional<ColourScale> colours;  // of overlays; none: of each map its own (own_scale())
  int64_t smallest_region = 0;         // pixels; 0: smallest_shown() of the inspected area
};

// A region of interest as a verdict tells of it; no pixels: there is none.
struct CountedPart {
  Box box;  // the rectangle it lies in
  int64_t pixels = 0;
  std::string text;  // RegionOfInterest::text()
};

// One image's outcome.
struct Verdict {
  std::filesystem::path path, overlay, map;  // empty if none was written
  int64_t width = 0, height = 0;
  double score = 0;
  std::optional<double> threshold, pixel_threshold;
  bool anomalous = false;
  Box inspected;    // the pixels that were looked at
  CountedPart roi;  // those of them that count
  std::vector<Region> regions;
  std::vector<ImageWarning> warnings;  // how the image is unlike the training images
  std::string error;                   // not empty: the image could not be read or judged
  std::vector<std::string> unwritten;  // why files about it could not be written
};

// "whole image", or which pixels: "400 x 300 pixels at (50, 40)".
std::string inspected_text(const Verdict& verdict);

// The overlay of an image that is in memory as a whole, in RGB.
Image draw_prediction(const Image& rgb, const Prediction& prediction, const OutputOptions& options);

// The decision and the regions; `image.rgb` is not looked at. No files.
Verdict judge_prediction(const InputImage& image, const Prediction& prediction, const OutputOptions& options);
// The overlay as write_prediction() writes it: a PNG. `rgb`: the image, or a smaller one of it.
std::string encode_overlay(const Image& rgb, const Prediction& prediction, const Verdict& verdict,
                           const OutputOptions& options);

// Makes the decision, finds the regions and writes FOLDER/NAME_overlay.png and FOLDER/NAME.tiff or .npy, each
// whole or not at all. `name` may contain folders. The overlay says in a text chunk "Colours" what its colours mean, and in "Inspected" which pixels
// were; of an image that was read in strips it is smaller, and "Smaller" says how large it is. A file that cannot be written (a full disk) is no reason to lose the verdict: it is in Verdict::unwritten.
// Of an earlier run's files nothing stays (remove_earlier_results()).
Verdict write_prediction(const InputImage& image, const Prediction& prediction,
                         const std::filesystem::path& name, const OutputOptions& options);

// Whether there is a FOLDER/NAME_overlay.png, .tiff or .npy, whoever wrote it.
bool is_taken(const std::filesystem::path& folder, const std::filesystem::path& name);

// Removes what an earlier run has written to FOLDER/NAME_overlay.png, .tiff and .npy, but for `written`, which is new. Only
// results of this program; an NPY bears no mark of its own and goes from a marked folder alone (mark_result_folder()).
// Returns a line for each that cannot be removed.
std::vector<std::string> remove_earlier_results(const std::filesystem::path& folder,
                                                const std::filesystem::path& name,
                                                const std::vector<std::filesystem::path>& written);

// {"image", "width", "height", "area", "inspected": [x, y, width, height], "roi": {"box": [x, y, width, height], "pixels"}
// or null, "score", "threshold", "anomalous",
// "pixel_threshold", "exceeded", "regions": [{"box": [x, y, width, height], "area", "peak", "peak_at": [x, y],
// "centroid": [x, y]}], "warnings": [{"kind", "text"}], "overlay", "map"}, or {"image", "error"}. Without a
// threshold, it and "anomalous" are null. "area": "whole" or "crop". "exceeded": "image" where the score is
// above its threshold, "pixel" where a region of the map is above its own; the two need not agree. JSON is UTF-8: a file's
// name that is none is shown as by utf8(), which may also be another file's name, and its bytes in hexadecimal digits are
// beside it, as "image_bytes", "overlay_bytes" and "map_bytes".
nlohmann::json to_json(const Verdict& verdict);
// "image,width,height,score,threshold,anomalous,regions,overlay,map,error,area,inspected,pixel_threshold,exceeded,
// warnings,roi", and a line of it, `roi` "x y width height pixels", `regions` being their number, `inspected` "x y width height", `exceeded` "image",
// "pixel" or "image pixel", `warnings` their texts with "; " between them. What to_json() leaves out or has as null is empty.
std::string csv_header();
std::string to_csv(const Verdict& verdict);
// "anomalous  0.123456  path  (2 regions)". Where the two thresholds disagree it says which one spoke, and what
// was inspected where that was not the whole image.
std::string to_text(const Verdict& verdict);

}  // namespace dinomaly
