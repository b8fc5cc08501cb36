// Objects of several images: one score and one label for all views of an object together.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "dinomaly/base/framework.h"
#include "dinomaly/data/dataset.h"
#include "dinomaly/evaluation/ranking.h"
#include "tensor/tensor.h"

namespace dinomaly {

struct ObjectScores {
  std::vector<std::string> names;
  std::vector<float> scores;
  std::vector<uint8_t> labels;  // 1 where any view is anomalous
  // Of each sample: which of these it shows, -1 for none, and whether it is the infrared image of a pair.
  std::vector<int64_t> object_of;
  std::vector<uint8_t> infrared;

  bool empty() const { return names.empty(); }
};

// Of the samples that belong to objects, in the order of their first views. maps (N, S, S) f32: blurred, of the
// samples in their order; where not all of a map counts, (N, 1, n). Scores are object_score()'s.
ObjectScores object_scores(const std::vector<Sample>& samples, const Tensor& maps, double ratio);

// AUROC, AP and F1max of objects; NaN where all are good or all anomalous.
RankingMetrics object_metrics(const ObjectScores& objects);

}  // namespace dinomaly
