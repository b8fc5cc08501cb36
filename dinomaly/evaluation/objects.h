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

  bool empty() const { return names.empty(); }
};

// Of the samples that belong to objects, in the order of their first views. maps (N, S, S) f32: blurred, of the
// samples in their order. An object's score is the mean of the int(V S S ratio) largest values of its V maps
// together (Dinomaly2); ratio 0: the largest. Of an RGB
// and an infrared image it is the sum of their own scores.
ObjectScores object_scores(const std::vector<Sample>& samples, const Tensor& maps, double ratio);

// AUROC, AP and F1max of objects; NaN where all are good or all anomalous.
RankingMetrics object_metrics(const ObjectScores& objects);

}  // namespace dinomaly
