#include "dinomaly/report/report_facts.h"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <string>

#include "dinomaly/base/numbers.h"
#include "dinomaly/evaluation/bootstrap.h"
#include "dinomaly/evaluation/ranking.h"

namespace dinomaly {

using nlohmann::json;

namespace {

std::string percent(double share) {
  return fmt::format("{:.{}f} %", 100 * share, share > 0 && share < 0.1 ? 1 : 0);
}

std::string sizes(const ImageConfig& image) {
  const bool cropped = image.crop_h != image.resize_h || image.crop_w != image.resize_w;
  return fmt::format("resized to {} x {} pixels{}", image.resize_h, image.resize_w,
                     cropped ? fmt::format(", then cropped to {} x {}", image.crop_h, image.crop_w) : "");
}

// How well scores separate the two kinds of images, in words.
std::string separation(double auroc) {
  if (auroc >= 0.99) return "almost perfectly";
  if (auroc >= 0.95) return "well";
  if (auroc >= 0.85) return "moderately";
  if (auroc >= 0.7) return "poorly";
  return "hardly at all";
}

struct Outcomes {
  int64_t good = 0, anomalous = 0, alarms = 0, found = 0;
};

// Of the images that are not `used`.
Outcomes count_outcomes(double threshold, const std::vector<float>& scores,
                        const std::vector<uint8_t>& labels, const std::vector<bool>& used) {
  Outcomes result;
  for (size_t i = 0; i < scores.size(); ++i) {
    if (used[i]) continue;
    const bool above = scores[i] > threshold;
    ++(labels[i] ? result.anomalous : result.good);
    result.found += labels[i] && above;
    result.alarms += !labels[i] && above;
  }
  return result;
}

std::string found_part(const Outcomes& n) {
  return fmt::format("finds {} of {} ({})", n.found,
                     counted(n.anomalous, "anomalous image", "anomalous images"),
                     percent(static_cast<double>(n.found) / static_cast<double>(n.anomalous)));
}

std::string alarms_part(const Outcomes& n) {
  return fmt::format("calls {} of {} anomalous by mistake ({})", n.alarms,
                     counted(n.good, "good image", "good images"),
                     percent(static_cast<double>(n.alarms) / static_cast<double>(n.good)));
}

// Two clauses as one, where either may be empty.
std::string joined(const std::string& a, const std::string& b) {
  return a + (a.empty() || b.empty() ? "" : " and ") + b;
}

// What images that the threshold was not found on say of it.
void add_rates(json& sentences, double threshold, const Outcomes& n) {
  if (n.anomalous + n.good > 0) {
    sentences.push_back(
        fmt::format("At the threshold {:.4g} the model {}.", threshold,
                    joined(n.anomalous > 0 ? found_part(n) : "", n.good > 0 ? alarms_part(n) : "")));
    const ShareInterval found = share_interval(n.found, n.anomalous),
                        alarms = share_interval(n.alarms, n.good);
    const std::string finds = fmt::format("finds {} to {} of the anomalous", percent(found.low),
                                          percent(found.high)),
                      alarm = fmt::format("raises a false alarm on {} to {} of the good", percent(alarms.low),
                                          percent(alarms.high));
    sentences.push_back(
        fmt::format("So many images allow this conclusion, with 95 % confidence: on images like these it {}.",
                    joined(n.anomalous > 0 ? finds : "", n.good > 0 ? alarm : "")));
  }
  constexpr int64_t few = 20;
  const auto lacking = [&](int64_t count, const std::string& kind) {
    if (count == 0) return "no " + kind;
    return count < few ? fmt::format("fewer than {} {}", few, kind) : "";
  };
  const std::string lacks = joined(lacking(n.good, "good"), lacking(n.anomalous, "anomalous"));
  if (!lacks.empty())
    sentences.push_back(fmt::format(
        "There are {} images that the threshold was not found on: take this as a first impression.", lacks));
}

}  // namespace

std::string inspected_area(const ImageConfig& image) {
  if (image.crop_h == image.resize_h && image.crop_w == image.resize_w) return "the whole image";
  const double share =
      static_cast<double>(image.crop_h * image.crop_w) / static_cast<double>(image.resize_h * image.resize_w);
  return fmt::format("the centre, {:.0f} % of each image; what lies outside was not judged", 100 * share);
}

json report_about(const HtmlReportInput& input) {
  json rows = json::array();
  const auto add = [&](const char* name, const std::string& text) {
    if (!text.empty()) rows.push_back({name, text});
  };
  const Config& config = input.config;
  int64_t good = 0, anomalous = 0;
  for (const Category& category : input.dataset.categories) {
    for (const Sample& sample : category.test) ++(sample.anomalous ? anomalous : good);
  }
  add("written", fmt::format("{} by dinomaly {}", input.date, input.version));
  add("model", fmt::format("{} ({} preset)", input.model, name_of(config.preset)));
  add("encoder", input.encoder);
  add("data",
      fmt::format("{}: {} good and {}", input.data, good, counted(anomalous, "anomalous test image")));
  add("images", sizes(config.image));
  add("inspected area", inspected_area(config.image));
  if (input.roi.on()) {
    add("region of interest",
        fmt::format("{}; outside of it nothing counts. Metrics of pixels are not computed of a region{}",
                    input.roi.text(),
                    input.beside == 0
                        ? ""
                        : fmt::format("; {}, whose defects all lie outside, {} left out",
                                      counted(input.beside, "image"), input.beside == 1 ? "is" : "are")));
  }
  if (input.trained_here) {
    add("training", fmt::format("{}, {} each, seed {}", counted(config.iterations, "iteration"),
                                counted(config.batch, "image"), config.seed));
  }
  add("precision", input.precision);
  return rows;
}

json report_verdict(const HtmlReportInput& input, double threshold, const std::vector<float>& scores,
                    const std::vector<uint8_t>& labels, const std::vector<bool>& used) {
  const double auroc = roc_auc(scores, labels);
  json sentences = json::array();
  if (!input.calibration) {
    const std::vector<bool> none(scores.size());
    const Outcomes n = count_outcomes(threshold, scores, labels, none);
    sentences.push_back(fmt::format(
        "At the threshold {:.4g}, which was chosen as the best for these very images, the model {} and {}.",
        threshold, found_part(n), alarms_part(n)));
    sentences.push_back(
        "The model is not calibrated: on other images that threshold will do worse. Calibrate it with good "
        "images "
        "(dinomaly calibrate).");
  } else {
    add_rates(sentences, threshold, count_outcomes(threshold, scores, labels, used));
    const int64_t left_out = std::count(used.begin(), used.end(), true);
    if (left_out > 0)
      sentences.push_back(
          fmt::format("The threshold was found on {} of the images here: they say nothing of it and are "
                      "left out of these numbers.",
                      left_out));
  }
  sentences.push_back(fmt::format(
      "Whatever the threshold, its scores separate good from anomalous images {} (I-AUROC {:.3f} over all "
      "images; 1 is perfect, 0.5 is chance).",
      separation(auroc), auroc));
  return sentences;
}

}  // namespace dinomaly
