#include "dinomaly/inference/calibrate.h"

#include <algorithm>
#include <cmath>
#include <iterator>
#include <optional>
#include <tuple>

#include "dinomaly/base/framework.h"
#include "dinomaly/base/numbers.h"
#include "dinomaly/data/masks.h"
#include "dinomaly/image/fingerprint.h"
#include "dinomaly/inference/for_each_prediction.h"
#include "tensor/io/printable.h"

namespace dinomaly {

namespace {

using Statistics = CalibrationStatistics;

void append(Statistics& to, const Statistics& from) {
  const auto join = [](auto& all, const auto& more) { all.insert(all.end(), more.begin(), more.end()); };
  join(to.scores, from.scores), join(to.labels, from.labels), join(to.peaks, from.peaks);
  join(to.medians, from.medians), join(to.pixels, from.pixels), join(to.pixel_labels, from.pixel_labels);
  join(to.objects, from.objects), join(to.object_labels, from.object_labels);
}

std::vector<float> good_scores(const std::vector<float>& scores, const std::vector<uint8_t>& labels) {
  std::vector<float> good;
  for (size_t i = 0; i < scores.size(); ++i) {
    if (labels[i] == 0) good.push_back(scores[i]);
  }
  return good;
}

std::optional<double> object_threshold(const Statistics& all, const CalibrationOptions& options) {
  const std::vector<float> good = good_scores(all.objects, all.object_labels);
  if (good.empty()) return std::nullopt;
  if (options.method == CalibrationMethod::good) return good_quantile(good, options.false_alarm_rate);
  if (good.size() == all.objects.size()) return std::nullopt;
  return best_f1_threshold(all.objects, all.object_labels);
}

// So many pixels a side and image decide the threshold of pixels by F1; more would only cost memory.
constexpr int64_t grid = 128;

// What of the inspected pixels a region of interest leaves, as a rectangle.
Box counted_box(const Prediction& prediction) {
  const Box& inspected = prediction.inspected;
  if (!prediction.roi().on()) return inspected;
  const Box roi = prediction.roi().bounds();
  const int64_t x = std::max(inspected.x, roi.x), y = std::max(inspected.y, roi.y);
  return {x, y, std::min(inspected.x + inspected.width, roi.x + roi.width) - x,
          std::min(inspected.y + inspected.height, roi.y + roi.height) - y};
}

void add_pixels(const Prediction& prediction, const Sample& sample, Statistics& statistics) {
  if (sample.anomalous && !sample.mask) return;
  const Tensor& map = prediction.map();
  const int64_t width = map.size(1);
  const Image mask = mask_or_black(sample, width, map.size(0));
  const Box box = counted_box(prediction);
  const std::vector<uint8_t> counts = prediction.roi().inside(box);
  const int64_t rows = std::min(grid, box.height), columns = std::min(grid, box.width);
  const float* values = map.data<float>();
  for (int64_t i = 0; i < rows; ++i) {
    const int64_t y = box.y + (2 * i + 1) * box.height / (2 * rows);
    for (int64_t j = 0; j < columns; ++j) {
      const int64_t x = box.x + (2 * j + 1) * box.width / (2 * columns);
      if (prediction.roi().on() && counts[static_cast<size_t>((y - box.y) * box.width + x - box.x)] == 0)
        continue;
      statistics.pixels.push_back(values[y * width + x]);
      statistics.pixel_labels.push_back(*mask.at(x, y) > 0);
    }
  }
}

void add_good_map(const Prediction& prediction, Statistics& statistics) {
  const Box& box = prediction.inspected;
  std::vector<float> values = prediction.map()
                                  .slice(0, box.y, box.y + box.height)
                                  .slice(1, box.x, box.x + box.width)
                                  .to_vector<float>();
  keep_counted(values, prediction.counted());
  const auto middle = values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2);
  std::nth_element(values.begin(), middle, values.end());
  statistics.medians.push_back(*middle);
  statistics.peaks.push_back(*std::max_element(middle, values.end()));
}

Thresholds thresholds_of(const Statistics& all, const CalibrationOptions& options) {
  if (options.method == CalibrationMethod::good) {
    return {good_quantile(good_scores(all.scores, all.labels), options.false_alarm_rate),
            good_quantile(all.peaks, options.false_alarm_rate), object_threshold(all, options)};
  }
  const bool masks = std::find(all.pixel_labels.begin(), all.pixel_labels.end(), 1) != all.pixel_labels.end();
  return {best_f1_threshold(all.scores, all.labels),
          masks ? best_f1_threshold(all.pixels, all.pixel_labels)
                : good_quantile(all.peaks, options.false_alarm_rate),
          object_threshold(all, options)};
}

ColourScale colours_of(const Statistics& all, double pixel_threshold) {
  std::vector<float> medians = all.medians;
  const auto middle = medians.begin() + static_cast<std::ptrdiff_t>(medians.size() / 2);
  std::nth_element(medians.begin(), middle, medians.end());
  const double low = *middle;
  return {low, low + std::max(2 * (pixel_threshold - low), 1e-6)};
}

// A file of several views is several images.
std::pair<std::filesystem::path, int64_t> place_of(const Sample& sample) {
  return {sample.image, sample.strip ? sample.strip->x : -1};
}

}  // namespace

RegionOfInterest region_for(const RegionOfInterest& roi, const std::vector<Sample>& samples,
                            const PixelRules& rules) {
  if (!roi.on()) return roi;
  RegionOfInterest result = roi;
  for (const Sample& sample : samples) {
    const ImageSize size = picture_size(sample, rules);
    const std::string why = result.misfit(size.width, size.height);
    check_input(why.empty(), "{}: {}", sample.image.string(), why);
    result = result.of_size(size.width, size.height);
  }
  return result;
}

Calibrator::Calibrator(const CalibrationOptions& options, const std::vector<Sample>& samples,
                       const Config& config)
    : options_(options), objects_(samples, config.score_ratio, options.method == CalibrationMethod::good) {
  check_false_alarm_rate(options.false_alarm_rate);
  std::vector<Sample> used;
  std::copy_if(samples.begin(), samples.end(), std::back_inserter(used),
               [this](const Sample& sample) { return uses(sample); });
  options_.inspection.roi = region_for(options.inspection.roi, used, config.image.pixels);
  const std::vector<std::string> fingerprints = image_fingerprints(pictures_of(used), config.image.pixels);
  std::map<std::pair<std::string, bool>, std::filesystem::path> first;
  for (size_t i = 0; i < used.size(); ++i) {
    fingerprints_[place_of(used[i])] = fingerprints[i];
    const auto [earlier, is_new] = first.try_emplace({fingerprints[i], used[i].anomalous}, used[i].image);
    if (is_new)
      counted_.push_back(used[i]);
    else
      repeats_.emplace_back(used[i].image, earlier->second);
  }
  leave_out_equal_objects(used);
}

// In whatever order the images of an object come; only those of pairs differ by what they are.
void Calibrator::leave_out_equal_objects(const std::vector<Sample>& used) {
  struct Shown {
    const Sample* sample = nullptr;
    bool anomalous = false;
    std::vector<std::string> images = {};
  };
  std::map<std::pair<std::string, std::string>, Shown> objects;
  for (const Sample& sample : used) {
    if (sample.object.empty()) continue;
    Shown& object = objects[{sample.category, sample.object}];
    object.sample = &sample;
    object.anomalous |= sample.anomalous;
    object.images.push_back(fingerprints_.at(place_of(sample)) + (sample.infrared ? " infrared" : ""));
  }
  std::map<std::pair<std::vector<std::string>, bool>, std::string> first;
  for (auto& [name, object] : objects) {
    std::sort(object.images.begin(), object.images.end());
    const auto [earlier, is_new] = first.try_emplace({object.images, object.anomalous}, name.second);
    if (is_new) continue;
    objects_.leave_out(*object.sample);
    equal_objects_.emplace_back(name.second, earlier->second);
  }
}

std::string Calibrator::repeats() const {
  if (repeats_.empty()) return "";
  const auto names = [](const auto& equal, const auto& text) {
    constexpr size_t most = 3;
    std::string result;
    for (size_t i = 0; i < std::min(most, equal.size()); ++i) {
      result += fmt::format("{}{} (as {})", i > 0 ? ", " : "", printable(text(equal[i].first)),
                            printable(text(equal[i].second)));
    }
    return equal.size() > most ? result + fmt::format(" and {} more", equal.size() - most) : result;
  };
  std::string text = fmt::format(
      "of {} images, {} pixel for pixel and {} not counted: {}", counted_.size() + repeats_.size(),
      dinomaly::counted(repeats_.size(), "equals another", "equal others"),
      repeats_.size() == 1 ? "is" : "are",
      names(repeats_, [](const std::filesystem::path& path) { return path.string(); }));
  if (!equal_objects_.empty())
    text += fmt::format("; objects that equal others are not counted, either: {}",
                        names(equal_objects_, [](const std::string& name) { return name; }));
  return text;
}

bool Calibrator::uses(const Sample& sample) const {
  return options_.method == CalibrationMethod::f1 || !sample.anomalous;
}

void Calibrator::add(const Sample& sample, const Prediction& prediction) {
  if (!uses(sample)) return;
  if (!std::isfinite(prediction.score)) {
    if (without_score_.empty()) without_score_ = sample.image.string();
    return;
  }
  objects_.add(sample, prediction.counted_values());
  const auto fingerprint = fingerprints_.find(place_of(sample));
  check(fingerprint != fingerprints_.end(), "calibration: {} is none of its images", sample.image.string());
  if (options_.method == CalibrationMethod::f1 &&
      shows_defect_elsewhere(sample, prediction.roi(), prediction.map().size(1), prediction.map().size(0)))
    return;
  if (!added_.emplace(fingerprint->second, sample.anomalous).second) return;
  Statistics& statistics = categories_[sample.category];
  statistics.scores.push_back(static_cast<float>(prediction.score));
  statistics.labels.push_back(sample.anomalous);
  if (options_.method == CalibrationMethod::f1) add_pixels(prediction, sample, statistics);
  if (!sample.anomalous) add_good_map(prediction, statistics);
}

Calibration Calibrator::compute() const {
  check_input(without_score_.empty(), "{}: its score is not a number", without_score_);
  std::map<std::string, Statistics> categories = categories_;
  for (const auto& [name, objects] : objects_.by_category()) {
    categories[name].objects = objects.scores;
    categories[name].object_labels = objects.labels;
  }
  Statistics everything;
  for (const auto& [name, category] : categories) append(everything, category);
  check_input(!everything.peaks.empty(), "calibration: there is no good image");

  Calibration result;
  result.method = options_.method;
  result.false_alarm_rate = options_.false_alarm_rate;
  result.inspection = options_.inspection;
  for (const auto& [fingerprint, anomalous] : added_) result.images.push_back(fingerprint);
  result.images.erase(std::unique(result.images.begin(), result.images.end()), result.images.end());
  result.good_images = static_cast<int64_t>(everything.peaks.size());
  result.anomalous_images = static_cast<int64_t>(everything.scores.size()) - result.good_images;
  result.objects = objects_.kind();
  result.good_objects =
      std::count(everything.object_labels.begin(), everything.object_labels.end(), uint8_t{0});
  result.promised_rate = promised_rate(result.good_images, options_.false_alarm_rate);
  result.all = thresholds_of(everything, options_);
  result.colours = colours_of(everything, result.all.pixel);
  if (options_.per_category) {
    for (const auto& [name, category] : categories)
      result.categories[name] = thresholds_of(category, options_);
  }
  return result;
}

Calibration calibrate(const Dinomaly& model, const std::vector<Sample>& samples,
                      const CalibrationOptions& options) {
  Calibrator calibrator(options, samples, model.config());
  std::vector<Sample> used;
  std::copy_if(samples.begin(), samples.end(), std::back_inserter(used),
               [&](const Sample& sample) { return calibrator.uses(sample); });
  std::stable_sort(used.begin(), used.end(), [](const Sample& a, const Sample& b) {
    return std::tie(a.category, a.object) < std::tie(b.category, b.object);
  });
  // Before the work, not after it.
  check_input(std::any_of(used.begin(), used.end(), [](const Sample& sample) { return !sample.anomalous; }),
              "calibration: there is no good image");
  if (options.begin) options.begin(calibrator);
  for_each_prediction(Predictor(model, calibrator.inspection(), options.batch), used,
                      {[&](const Sample& sample, const InputImage&, const Prediction& prediction) {
                        calibrator.add(sample, prediction);
                        if (options.also) options.also(sample, prediction);
                        if (options.progress) options.progress();
                      }});
  return calibrator.compute();
}

}  // namespace dinomaly
