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

float object_score(const Tensor& maps, double ratio, ObjectKind kind) {
  if (kind == ObjectKind::pairs) {
    const std::vector<float> each = anomaly_score(maps, ratio).to_vector<float>();
    return std::accumulate(each.begin(), each.end(), 0.0f);
  }
  const Tensor together = maps.reshape({1, -1});  // the largest of all, not of each
  return anomaly_score(together, ratio).to_vector<float>().at(0);
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

void ObjectCollector::add(const Sample& sample, const Tensor& blurred) {
  const auto found = objects_.find({sample.category, sample.object});
  if (found == objects_.end() || !blurred.defined()) return;
  Object& object = found->second;
  kind_ = object_kind(sample.grouping);
  object.maps.push_back(blurred.contiguous().unsqueeze(0));
  if (--object.missing > 0) return;
  Scores& scores = scores_[sample.category];
  scores.scores.push_back(object_score(cat(object.maps, 0), ratio_, kind_));
  scores.labels.push_back(object.anomalous);
  objects_.erase(found);
}

}  // namespace dinomaly
