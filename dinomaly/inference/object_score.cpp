#include "dinomaly/inference/object_score.h"

#include <numeric>
#include <utility>

#include "dinomaly/model/anomaly_map.h"
#include "tensor/ops.h"

namespace dinomaly {

ObjectKind object_kind(Grouping grouping) {
  if (grouping == Grouping::none) return ObjectKind::none;
  if (grouping == Grouping::strips) return ObjectKind::strips;
  return grouping == Grouping::rgb_and_infrared ? ObjectKind::pairs : ObjectKind::views;
}

float object_score(const std::vector<Tensor>& maps, double ratio, ObjectKind kind) {
  const auto score = [&](const Tensor& values) {
    return anomaly_score(values, ratio).to_vector<float>().at(0);
  };
  std::vector<Tensor> rows;
  for (const Tensor& map : maps) rows.push_back(map.contiguous().reshape({1, -1}));
  if (kind != ObjectKind::pairs) return score(cat(rows, 1));  // the largest of all, not of each
  return std::accumulate(rows.begin(), rows.end(), 0.0f,
                         [&](float sum, const Tensor& row) { return sum + score(row); });
}

ObjectCollector::ObjectCollector(const std::vector<Sample>& samples, double ratio, bool good)
    : ratio_(ratio) {
  for (const Sample& sample : samples) {
    if (sample.object.empty()) continue;
    Object& object = objects_[{sample.category, sample.object}];
    ++object.missing;
    object.anomalous |= sample.anomalous;
  }
  if (good) std::erase_if(objects_, [](const auto& object) { return object.second.anomalous; });
}

void ObjectCollector::add(const Sample& sample, const Tensor& values) {
  const auto found = objects_.find({sample.category, sample.object});
  if (found == objects_.end() || !values.defined()) return;
  Object& object = found->second;
  kind_ = object_kind(sample.grouping);
  object.maps.push_back(values);
  if (--object.missing > 0) return;
  Scores& scores = scores_[sample.category];
  scores.scores.push_back(object_score(object.maps, ratio_, kind_));
  scores.labels.push_back(object.anomalous);
  objects_.erase(found);
}

}  // namespace dinomaly
