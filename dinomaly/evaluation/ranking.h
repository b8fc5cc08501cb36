// Metrics of a ranking: how well scores separate two classes, with equal scores taken as one threshold.
#pragma once

#include <cstdint>
#include <span>

namespace dinomaly {

struct RankingMetrics {
  double auroc, ap, f1max;
};

// All three from one sort. A label of 0 is normal, any other anomalous (positive); higher
// scores mean anomalous.
//   auroc: area under the ROC curve by trapezoids, as sklearn.metrics.roc_auc_score.
//   ap:    sum over thresholds of (R_n - R_{n-1}) P_n, as sklearn.metrics.average_precision_score.
//   f1max: the largest 2PR / (P + R + 1e-7) over all thresholds.
// Throws Error if the sizes differ or exceed 2^32, InputError if a score is not finite or one
// class is absent.
RankingMetrics ranking_metrics(std::span<const float> scores, std::span<const uint8_t> labels);

double roc_auc(std::span<const float> scores, std::span<const uint8_t> labels);
double average_precision(std::span<const float> scores, std::span<const uint8_t> labels);
double f1_max(std::span<const float> scores, std::span<const uint8_t> labels);

}  // namespace dinomaly
