#include "dinomaly/inference/threshold.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "dinomaly/base/framework.h"
#include "dinomaly/model/calibration.h"
#include "tensor/error.h"

namespace dinomaly {

int64_t images_needed(double rate) { return static_cast<int64_t>(std::ceil(1 / rate - 1 - 1e-9)); }

double promised_rate(int64_t count, double rate) {
  const double total = static_cast<double>(count + 1);
  // The small term keeps ceil(99.00000000000001) from becoming 100.
  const double rank = std::min(std::ceil(total * (1 - rate) - 1e-9), static_cast<double>(count));
  return (total - rank) / total;
}

double good_quantile(std::vector<float> scores, double rate) {
  check_input(!scores.empty(), "calibration: there is no good image");
  check_false_alarm_rate(rate);
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
  const bool both = positives > 0 && positives < static_cast<double>(labels.size());
  check_input(both, "calibration: F1 needs good and anomalous images, but all are {}",
              positives > 0 ? "anomalous" : "good");
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

}  // namespace dinomaly
