#include "dinomaly/evaluation/objects.h"

#include <algorithm>
#include <limits>
#include <map>

#include "dinomaly/base/framework.h"
#include "dinomaly/inference/object_score.h"
#include "tensor/ops.h"

namespace dinomaly {

ObjectScores object_scores(const std::vector<Sample>& samples, const Tensor& maps, double ratio) {
  check(maps.rank() == 3 && maps.size(0) == static_cast<int64_t>(samples.size()),
        "object scores: maps {} of {} samples", maps.shape(), samples.size());
  ObjectScores objects;
  std::map<std::string, size_t> places;
  std::vector<std::vector<Tensor>> views;
  ObjectKind kind = ObjectKind::none;
  for (size_t i = 0; i < samples.size(); ++i) {
    objects.infrared.push_back(samples[i].infrared);
    objects.object_of.push_back(-1);
    if (samples[i].object.empty()) continue;
    kind = object_kind(samples[i].grouping);
    const auto [place, is_new] = places.try_emplace(samples[i].object, views.size());
    if (is_new) {
      objects.names.push_back(samples[i].object);
      objects.labels.push_back(0);
      views.emplace_back();
    }
    objects.object_of.back() = static_cast<int64_t>(place->second);
    views[place->second].push_back(maps.slice(0, static_cast<int64_t>(i), static_cast<int64_t>(i) + 1));
    objects.labels[place->second] |= static_cast<uint8_t>(samples[i].anomalous);
  }
  for (const std::vector<Tensor>& own : views) objects.scores.push_back(object_score(own, ratio, kind));
  return objects;
}

RankingMetrics object_metrics(const ObjectScores& objects) {
  const auto anomalous = std::count(objects.labels.begin(), objects.labels.end(), uint8_t{1});
  if (anomalous == 0 || anomalous == static_cast<std::ptrdiff_t>(objects.labels.size())) {
    constexpr double unknown = std::numeric_limits<double>::quiet_NaN();
    return {unknown, unknown, unknown};
  }
  return ranking_metrics(objects.scores, objects.labels);
}

}  // namespace dinomaly
