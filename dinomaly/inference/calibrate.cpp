#include "dinomaly/inference/calibrate.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <set>

#include "dinomaly/inference/image_stream.h"

namespace dinomaly {

namespace {

// What is kept of the images of one category.
struct Seen {
  std::vector<float> scores;    // of all images
  std::vector<uint8_t> labels;  // 1: anomalous
  std::vector<float> peaks;     // the maps' largest values, of good images
  std::vector<float> medians;   // the maps' medians, of good images
  std::vector<float> pixels;    // for F1: values on a grid, of images whose mask is known
  std::vector<uint8_t> pixel_labels;

  void append(const Seen& other) {
    const auto join = [](auto& to, const auto& from) { to.insert(to.end(), from.begin(), from.end()); };
    join(scores, other.scores), join(labels, other.labels), join(peaks, other.peaks);
    join(medians, other.medians), join(pixels, other.pixels), join(pixel_labels, other.pixel_labels);
  }
  std::vector<float> good_scores() const {
    std::vector<float> good;
    for (size_t i = 0; i < scores.size(); ++i) {
      if (labels[i] == 0) good.push_back(scores[i]);
    }
    return good;
  }
};

// So many pixels a side and image decide the threshold of pixels by F1; more would only cost memory.
constexpr int64_t grid = 128;

void keep_pixels(const Prediction& prediction, const Sample& sample, Seen& seen) {
  if (sample.anomalous && !sample.mask) return;
  const int64_t height = prediction.map.size(0), width = prediction.map.size(1);
  Image mask(width, height, 1);
  if (sample.mask) mask = load_mask(*sample.mask, width, height);
  const Box& box = prediction.seen;
  const int64_t rows = std::min(grid, box.height), columns = std::min(grid, box.width);
  const float* values = prediction.map.data<float>();
  for (int64_t i = 0; i < rows; ++i) {
    const int64_t y = box.y + (2 * i + 1) * box.height / (2 * rows);
    for (int64_t j = 0; j < columns; ++j) {
      const int64_t x = box.x + (2 * j + 1) * box.width / (2 * columns);
      seen.pixels.push_back(values[y * width + x]);
      seen.pixel_labels.push_back(*mask.at(x, y) > 0);
    }
  }
}

void keep(const Prediction& prediction, const Sample& sample, CalibrationMethod method, Seen& seen) {
  seen.scores.push_back(static_cast<float>(prediction.score));
  seen.labels.push_back(sample.anomalous);
  if (method == CalibrationMethod::f1) keep_pixels(prediction, sample, seen);
  if (sample.anomalous) return;
  const Box& box = prediction.seen;
  std::vector<float> values = prediction.map.slice(0, box.y, box.y + box.height)
                                  .slice(1, box.x, box.x + box.width)
                                  .to_vector<float>();
  const auto middle = values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2);
  std::nth_element(values.begin(), middle, values.end());
  seen.medians.push_back(*middle);
  seen.peaks.push_back(*std::max_element(middle, values.end()));
}

std::map<std::string, Seen> look(const Dinomaly& model, const std::vector<Sample>& samples,
                                 const CalibrationOptions& options) {
  const Predictor predictor(model, options.tiling, options.batch);
  size_t next = 0;
  ImageStream stream(
      [&](std::stop_token) {
        return next < samples.size() ? std::optional(samples[next++].image) : std::nullopt;
      },
      [&](const Image& rgb) { return predictor.inputs(rgb); });
  std::map<std::string, Seen> seen;
  size_t done = 0;
  for (auto images = stream.next(options.batch); !images.empty(); images = stream.next(options.batch)) {
    for (const InputImage& image : images) check_input(image.error.empty(), "{}", image.error);
    for (const Prediction& prediction : predictor.predict(images)) {
      const Sample& sample = samples[done++];
      check_input(std::isfinite(prediction.score), "{}: its score is not a number", sample.image.string());
      keep(prediction, sample, options.method, seen[sample.category]);
      if (options.progress) options.progress();
    }
  }
  return seen;
}

Thresholds thresholds_of(const Seen& seen, const CalibrationOptions& options) {
  if (options.method == CalibrationMethod::good) {
    return {good_quantile(seen.good_scores(), options.false_alarm_rate),
            good_quantile(seen.peaks, options.false_alarm_rate)};
  }
  const bool masks =
      std::find(seen.pixel_labels.begin(), seen.pixel_labels.end(), 1) != seen.pixel_labels.end();
  return {best_f1_threshold(seen.scores, seen.labels),
          masks ? best_f1_threshold(seen.pixels, seen.pixel_labels)
                : good_quantile(seen.peaks, options.false_alarm_rate)};
}

ColourScale colours_of(const Seen& seen, double pixel_threshold) {
  std::vector<float> medians = seen.medians;
  const auto middle = medians.begin() + static_cast<std::ptrdiff_t>(medians.size() / 2);
  std::nth_element(medians.begin(), middle, medians.end());
  const double low = *middle;
  return {low, low + std::max(2 * (pixel_threshold - low), 1e-6)};
}

}  // namespace

double promised_rate(int64_t count, double rate) {
  const double total = static_cast<double>(count + 1);
  // The small term keeps ceil(99.00000000000001) from becoming 100.
  const double rank = std::min(std::ceil(total * (1 - rate) - 1e-9), static_cast<double>(count));
  return (total - rank) / total;
}

double good_quantile(std::vector<float> scores, double rate) {
  check_input(!scores.empty(), "calibration: there is no good image");
  check_input(rate > 0 && rate < 1, "--false-alarm-rate: {} is not between 0 and 1", rate);
  const int64_t count = static_cast<int64_t>(scores.size());
  const double above = std::round(promised_rate(count, rate) * static_cast<double>(count + 1));
  const int64_t rank = std::clamp<int64_t>(count + 1 - static_cast<int64_t>(above), 1, count);
  std::nth_element(scores.begin(), scores.begin() + (rank - 1), scores.end());
  return scores[static_cast<size_t>(rank - 1)];
}

double best_f1_threshold(std::span<const float> scores, std::span<const uint8_t> labels) {
  check(scores.size() == labels.size(), "best_f1_threshold: {} scores and {} labels", scores.size(),
        labels.size());
  std::vector<size_t> order(scores.size());
  std::iota(order.begin(), order.end(), size_t{0});
  for (const float score : scores) check_input(std::isfinite(score), "calibration: a score is {}", score);
  std::sort(order.begin(), order.end(), [&](size_t a, size_t b) { return scores[a] > scores[b]; });
  const auto positives = static_cast<double>(
      std::count_if(labels.begin(), labels.end(), [](uint8_t label) { return label != 0; }));
  check_input(
      positives > 0 &&
              positives<static_cast<double>(labels.size()),
                        "calibration: F1 needs good and anomalous images, but all are {}", positives> 0
          ? "anomalous"
          : "good");
  double hits = 0, best = -1, threshold = 0;
  for (size_t i = 0; i < order.size(); ++i) {
    hits += labels[order[i]] != 0;
    const float score = scores[order[i]];
    const bool last = i + 1 == order.size();
    if (!last && scores[order[i + 1]] == score) continue;
    const double f1 = 2 * hits / (positives + static_cast<double>(i + 1));
    if (f1 <= best) continue;
    best = f1;
    threshold = last ? std::nextafter(score, -INFINITY) : (double{score} + double{scores[order[i + 1]]}) / 2;
  }
  return threshold;
}

Calibration calibrate(const Dinomaly& model, const std::vector<Sample>& samples,
                      const CalibrationOptions& options) {
  check_input(options.false_alarm_rate > 0 && options.false_alarm_rate < 1,
              "--false-alarm-rate: {} is not between 0 and 1", options.false_alarm_rate);
  std::vector<Sample> used;
  for (const Sample& sample : samples) {
    if (options.method == CalibrationMethod::f1 || !sample.anomalous) used.push_back(sample);
  }
  check_input(std::any_of(used.begin(), used.end(), [](const Sample& sample) { return !sample.anomalous; }),
              "calibration: there is no good image");
  const std::map<std::string, Seen> seen = look(model, used, options);
  Seen everything;
  for (const auto& [name, category] : seen) everything.append(category);

  Calibration result;
  result.method = options.method;
  result.false_alarm_rate = options.false_alarm_rate;
  result.tiling = options.tiling;
  result.good_images = static_cast<int64_t>(everything.peaks.size());
  result.anomalous_images = static_cast<int64_t>(used.size()) - result.good_images;
  result.promised_rate = promised_rate(result.good_images, options.false_alarm_rate);
  result.all = thresholds_of(everything, options);
  result.colours = colours_of(everything, result.all.pixel);
  if (options.per_category) {
    for (const auto& [name, category] : seen) result.categories[name] = thresholds_of(category, options);
  }
  return result;
}

}  // namespace dinomaly
