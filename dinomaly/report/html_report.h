// One self-contained HTML file about a trained model: metrics, curves, an adjustable threshold, images.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <vector>

#include "dinomaly/data/dataset.h"
#include "dinomaly/evaluation/curves.h"
#include "dinomaly/evaluation/evaluate.h"
#include "dinomaly/image/region_of_interest.h"
#include "dinomaly/model/calibration.h"

namespace dinomaly {

struct HtmlReportInput {
  std::string title, model;                             // model: its file's name
  std::string date, version, data, encoder, precision;  // as shown; data: where the data set is
  bool trained_here = false;                            // the config says how it was trained
  Config config;  // of the predictor (inspecting_config()): it says what of an image was inspected
  Dataset dataset;
  RegionOfInterest roi;  // outside of which nothing counted, of the images' size
  int64_t beside = 0;    // how many images the dataset has lost, because their defects all lie outside
  std::vector<CategoryResult> results;  // of the dataset's categories, in order
  std::optional<Calibration> calibration;
  Curve loss;            // (iteration, loss); may be empty
  int64_t images = 200;  // the most in the gallery: those judged worst at the threshold
};

// Everything the page shows, as the page's script reads it. The gallery's images are data URIs.
nlohmann::json report_data(const HtmlReportInput& input);

// The page. Nothing in `data` can end the script element that contains it.
std::string report_page(const nlohmann::json& data);

// (iteration, loss) of a training log (TrainingLog's CSV, recognised by its header): at most 1000 points,
// each the mean of the same number of rows. Throws InputError naming the file.
Curve read_loss_curve(const std::filesystem::path& log);

}  // namespace dinomaly
