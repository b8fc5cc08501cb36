#include "dinomaly/report/html_report.h"

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>

#include "dinomaly/base/json_text.h"
#include "dinomaly/base/numbers.h"
#include "dinomaly/evaluation/bootstrap.h"
#include "dinomaly/image/fingerprint.h"
#include "dinomaly/inference/calibrate.h"
#include "dinomaly/report/gallery.h"
#include "dinomaly/report/report_facts.h"
#include "dinomaly/report/report_template.h"
#include "dinomaly/report/results.h"
#include "dinomaly/report/table.h"

namespace dinomaly {

using nlohmann::json;

namespace {

constexpr size_t curve_points = 200;

json to_json(const Curve& curve) {
  const auto rounded = [](double value) { return std::round(value * 1e5) / 1e5; };
  json points = json::array();
  for (const CurvePoint& point : thinned(curve, curve_points))
    points.push_back({rounded(point.x), rounded(point.y)});
  return points;
}

// The smallest and the largest value of any map.
std::pair<double, double> value_range(const std::vector<CategoryResult>& results) {
  double low = INFINITY, high = -INFINITY;
  for (const CategoryResult& result : results) {
    const float* values = result.maps.data<float>();
    const auto [smallest, largest] = std::minmax_element(values, values + result.maps.numel());
    low = std::min<double>(low, *smallest), high = std::max<double>(high, *largest);
  }
  return {low, std::max(high, low + 1e-9)};
}

PixelCounts count_pixels(const CategoryResult& result, PixelCounts counts) {
  if (!result.masks.defined()) return counts;
  const int64_t side_y = result.maps.size(1), side_x = result.maps.size(2);
  const size_t pixels = static_cast<size_t>(side_y * side_x);
  for (int64_t i = 0; i < result.maps.size(0); ++i) {
    const size_t at = static_cast<size_t>(i) * pixels;
    counts.add({result.maps.data<float>() + at, pixels}, {result.masks.data<uint8_t>() + at, pixels}, side_y,
               side_x);
  }
  return counts;
}

json curves(const std::vector<float>& scores, const std::vector<uint8_t>& labels, const PixelCounts& counts) {
  return {{"image_roc", to_json(roc_curve(scores, labels))},
          {"image_pr", to_json(pr_curve(scores, labels))},
          {"pixel_roc", to_json(counts.roc())},
          {"pixel_pr", to_json(counts.pr())},
          {"pro", to_json(counts.pro())}};
}

// Null of undefined numbers.
json json_numbers(const std::vector<double>& values) {
  json numbers = json::array();
  for (const double value : values) numbers.push_back(std::isfinite(value) ? json(value) : json(nullptr));
  return numbers;
}

json metrics(const std::vector<CategoryResult>& results, const std::vector<std::vector<uint8_t>>& labels) {
  const BootstrapOptions options;
  const Intervals intervals = bootstrap_intervals(results, labels, options);
  const MetricsTable table = paper_table(results);
  json columns = json::array(), rows = json::array();
  for (const MetricsTable::Column& column : table.columns) columns.push_back(column.heading);
  const auto add = [&](const std::string& name, const std::vector<double>& values,
                       const MetricIntervals& interval) {
    const json ends = {json_numbers(paper_values(table, interval.low)),
                       json_numbers(paper_values(table, interval.high))};
    rows.push_back({{"name", name}, {"values", json_numbers(values)}, {"interval", ends}});
  };
  for (size_t c = 0; c < table.rows.size(); ++c)
    add(table.rows[c].name, table.rows[c].values, intervals.categories[c]);
  if (table.rows.size() > 1) add("mean", table.mean(), intervals.mean);
  const bool objects = std::any_of(results.begin(), results.end(),
                                   [](const CategoryResult& result) { return !result.objects.empty(); });
  return {{"columns", columns},
          {"rows", rows},
          {"resamples", options.resamples},
          {"seed", options.seed},
          {"drawn", objects ? "objects" : "images"}};
}

struct Pooled {
  std::vector<float> scores;
  std::vector<uint8_t> labels;
};

std::vector<uint8_t> labels_of(const Category& category) {
  std::vector<uint8_t> labels;
  for (const Sample& sample : category.test) labels.push_back(sample.anomalous);
  return labels;
}

// Whether an earlier version has stored the hashes of files.
bool tells_by_files(const Calibration& calibration) {
  return !calibration.images.empty() && !calibration.images.front().starts_with(pixel_mark);
}

// The images a threshold was found on measure nothing at it. A model of an earlier version does not say which
// these were: then all it may have been are.
std::vector<bool> calibrated_on(const HtmlReportInput& input) {
  std::vector<Sample> samples;
  for (const Category& category : input.dataset.categories)
    samples.insert(samples.end(), category.test.begin(), category.test.end());
  std::vector<bool> result(samples.size(), true);
  if (!input.calibration) return result;
  const Calibration& calibration = *input.calibration;
  const bool by_files = tells_by_files(calibration), told = !calibration.images.empty();
  std::vector<std::string> fingerprints(samples.size());
  if (told && !by_files) fingerprints = image_fingerprints(pictures_of(samples), input.config.image.pixels);
  for (size_t i = 0; i < samples.size(); ++i) {
    if (by_files) fingerprints[i] = file_fingerprint(samples[i].image);
    result[i] =
        told ? std::binary_search(calibration.images.begin(), calibration.images.end(), fingerprints[i])
             : calibration.method == CalibrationMethod::f1 || !samples[i].anomalous;
  }
  return result;
}

// On which images the rates at that threshold are measured.
std::string measured_on(const HtmlReportInput& input, const std::vector<bool>& used) {
  const auto count = std::count(used.begin(), used.end(), true);
  if (!input.calibration) {
    return "The threshold was chosen on these images, so they measure no rates at it; other thresholds show "
           "theirs.";
  }
  if (input.calibration->images.empty()) {
    return fmt::format(
        "The model does not say on which images its threshold was found: the rates at it leave "
        "out {} that may be among them. Calibrating again stores which they are.",
        counted(count, "image"));
  }
  const char* by_files =
      tells_by_files(*input.calibration)
          ? " The model tells images by their files: one that was saved again in another format counts as "
            "another. Calibrating again stores what tells them by their pixels."
          : "";
  if (count == 0)
    return fmt::format("None of these images is one that the threshold was found on.{}", by_files);
  return fmt::format("The threshold was found on {} of these images: the rates at it leave them out.{}",
                     count, by_files);
}

json threshold_json(const HtmlReportInput& input, double threshold, const std::vector<bool>& used) {
  json own = json::object();
  std::string origin = "the largest F1 on these images";
  if (input.calibration) {
    for (const auto& [name, thresholds] : input.calibration->categories) own[name] = thresholds.image;
    origin = input.calibration->method == CalibrationMethod::good
                 ? fmt::format("calibration on {}: at most {:.1f} % false alarms",
                               counted(input.calibration->good_images, "good image"),
                               100 * input.calibration->promised_rate)
                 : "calibration by the largest F1";
  }
  return {
      {"value", threshold}, {"categories", own}, {"origin", origin}, {"measured", measured_on(input, used)}};
}

}  // namespace

json report_data(const HtmlReportInput& input) {
  check(input.results.size() == input.dataset.categories.size() && !input.results.empty(),
        "report: {} results of {} categories", input.results.size(), input.dataset.categories.size());
  const auto [low, high] = value_range(input.results);
  PixelCounts all_counts(low, high);
  Pooled pooled;
  const std::vector<bool> used = calibrated_on(input);
  json scopes = json::array(), samples = json::array();
  std::vector<std::vector<uint8_t>> all_labels;
  for (size_t c = 0; c < input.results.size(); ++c) {
    const CategoryResult& result = input.results[c];
    const Category& category = input.dataset.categories[c];
    const std::vector<uint8_t> labels = labels_of(category);
    all_labels.push_back(labels);
    const PixelCounts counts = count_pixels(result, PixelCounts(low, high));
    all_counts.add(counts);
    scopes.push_back({{"name", category.name}, {"curves", curves(result.scores, labels, counts)}});
    pooled.scores.insert(pooled.scores.end(), result.scores.begin(), result.scores.end());
    pooled.labels.insert(pooled.labels.end(), labels.begin(), labels.end());
    for (size_t i = 0; i < category.test.size(); ++i) {
      const Sample& sample = category.test[i];
      samples.push_back({{"c", c},
                         {"defect", sample.defect},
                         {"id", sample.id},
                         {"score", result.scores[i]},
                         {"bad", sample.anomalous},
                         {"used", used.at(samples.size())}});
    }
  }
  const double threshold =
      input.calibration ? input.calibration->all.image : best_f1_threshold(pooled.scores, pooled.labels);
  const ColourScale colours = input.calibration ? input.calibration->colours : colour_scale(input.results);
  add_gallery(samples, input, colours, threshold);
  json loss = json::array();
  for (const CurvePoint& point : input.loss) loss.push_back({point.x, point.y});
  return {{"title", input.title},
          {"model", input.model},
          {"preset", name_of(input.config.preset)},
          {"about", report_about(input)},
          {"verdict", report_verdict(input, threshold, pooled.scores, pooled.labels, used)},
          {"metrics", metrics(input.results, all_labels)},
          {"inspected", inspected_area(input.config.image) +
                            (input.roi.on() ? fmt::format(", of which {} count", input.roi.text()) : "")},
          {"all", curves(pooled.scores, pooled.labels, all_counts)},
          {"scopes", scopes},
          {"samples", samples},
          {"threshold", threshold_json(input, threshold, used)},
          {"colours", {{"low", colours.low}, {"high", colours.high}}},
          {"loss", loss}};
}

std::string report_page(const json& data) {
  const std::string mark = "{{DATA}}";
  std::string page = report_template();
  const size_t at = page.find(mark);
  check(at != std::string::npos, "report: the template has no place for the data");
  const std::string text = json_text(short_numbers(data, printed_digits));
  std::string safe;
  safe.reserve(text.size());
  for (const char letter : text) {
    if (letter == '<') {
      safe += "\\u003c";  // a file may be called </script>
    } else {
      safe += letter;
    }
  }
  return page.replace(at, mark.size(), safe);
}

}  // namespace dinomaly
