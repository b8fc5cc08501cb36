#include "dinomaly/evaluation/ranking.h"

#include <algorithm>
#include <cmath>
#include <vector>

#include "dinomaly/base/framework.h"
#include "dinomaly/evaluation/radix_sort.h"
#include "dinomaly/evaluation/thresholds.h"
#include "tensor/error.h"

namespace dinomaly {

RankingMetrics ranking_metrics(std::span<const float> scores, std::span<const uint8_t> labels) {
  check(scores.size() == labels.size(), "metrics: {} scores and {} labels", scores.size(), labels.size());
  check(scores.size() < uint64_t{1} << 32, "metrics: {} scores are too many", scores.size());
  const auto count =
      static_cast<size_t>(std::count_if(labels.begin(), labels.end(), [](uint8_t l) { return l != 0; }));
  check_input(count > 0 && count<labels.size(), "metrics: all {} labels are {}", labels.size(), count> 0
                  ? "anomalous"
                  : "normal");
  std::vector<uint32_t> positives, negatives;
  positives.reserve(count);
  negatives.reserve(labels.size() - count);
  for (size_t i = 0; i < scores.size(); ++i) {
    check_input(std::isfinite(scores[i]), "metrics: score {} is {}", i, scores[i]);
    (labels[i] != 0 ? positives : negatives).push_back(descending_key(scores[i]));
  }
  radix_sort(positives);
  radix_sort(negatives);

  // Between two scores of positives recall stands still and precision falls: neither sum nor maximum needs
  // the thresholds there.
  const double total = static_cast<double>(positives.size());
  uint64_t twice_pairs = 0;  // (positive, negative) pairs in the right order count 2, equal ones 1
  RankingMetrics result{0, 0, 0};
  for_each_threshold<uint32_t>(positives, negatives, [&](const Threshold& at) {
    const uint64_t hits = at.end - at.begin;
    const uint64_t below = negatives.size() - at.negatives_above - at.negatives_equal;
    twice_pairs += hits * (2 * below + at.negatives_equal);
    const double precision =
        static_cast<double>(at.end) / static_cast<double>(at.end + at.negatives_above + at.negatives_equal);
    const double recall = static_cast<double>(at.end) / total;
    result.ap += static_cast<double>(hits) / total * precision;
    result.f1max = std::max(result.f1max, 2 * precision * recall / (precision + recall + 1e-7));
  });
  result.auroc = static_cast<double>(twice_pairs) / (2 * total * static_cast<double>(negatives.size()));
  return result;
}

double roc_auc(std::span<const float> scores, std::span<const uint8_t> labels) {
  return ranking_metrics(scores, labels).auroc;
}
double average_precision(std::span<const float> scores, std::span<const uint8_t> labels) {
  return ranking_metrics(scores, labels).ap;
}
double f1_max(std::span<const float> scores, std::span<const uint8_t> labels) {
  return ranking_metrics(scores, labels).f1max;
}

}  // namespace dinomaly
