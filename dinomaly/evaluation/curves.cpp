#include "dinomaly/evaluation/curves.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "dinomaly/base/framework.h"
#include "dinomaly/image/connected_components.h"
#include "tensor/error.h"

namespace dinomaly {

namespace {

constexpr double pro_limit = 0.3;

// Calls visit(hits, false alarms) after each distinct score, the highest first.
template <class Visit>
void walk(std::span<const float> scores, std::span<const uint8_t> labels, Visit visit) {
  check(scores.size() == labels.size(), "curve: {} scores and {} labels", scores.size(), labels.size());
  std::vector<size_t> order(scores.size());
  std::iota(order.begin(), order.end(), size_t{0});
  std::sort(order.begin(), order.end(), [&](size_t a, size_t b) { return scores[a] > scores[b]; });
  double hits = 0, alarms = 0;
  for (size_t i = 0; i < order.size(); ++i) {
    (labels[order[i]] != 0 ? hits : alarms) += 1;
    if (i + 1 == order.size() || scores[order[i + 1]] != scores[order[i]]) visit(hits, alarms);
  }
}

bool both_classes(std::span<const uint8_t> labels, double& positives, double& negatives) {
  positives =
      static_cast<double>(std::count_if(labels.begin(), labels.end(), [](uint8_t l) { return l != 0; }));
  negatives = static_cast<double>(labels.size()) - positives;
  return positives > 0 && negatives > 0;
}

}  // namespace

Curve roc_curve(std::span<const float> scores, std::span<const uint8_t> labels) {
  double positives, negatives;
  if (!both_classes(labels, positives, negatives)) return {};
  Curve curve{{0, 0}};
  walk(scores, labels, [&](double hits, double alarms) {
    curve.push_back({alarms / negatives, hits / positives});
  });
  return curve;
}

Curve pr_curve(std::span<const float> scores, std::span<const uint8_t> labels) {
  double positives, negatives;
  if (!both_classes(labels, positives, negatives)) return {};
  Curve curve;
  walk(scores, labels, [&](double hits, double alarms) {
    curve.push_back({hits / positives, hits / (hits + alarms)});
  });
  return curve;
}

Curve thinned(const Curve& curve, size_t most) {
  check(most >= 2, "thinned: {} points are no curve", most);
  if (curve.size() <= most) return curve;
  std::vector<double> length{0};
  for (size_t i = 1; i < curve.size(); ++i) {
    length.push_back(length.back() + std::hypot(curve[i].x - curve[i - 1].x, curve[i].y - curve[i - 1].y));
  }
  Curve result{curve.front()};
  size_t i = 0;
  for (size_t n = 1; n + 1 < most; ++n) {
    const double wanted = length.back() * static_cast<double>(n) / static_cast<double>(most - 1);
    const size_t before = i;
    while (i + 1 < curve.size() - 1 && length[i] < wanted) ++i;
    if (i != before) result.push_back(curve[i]);
  }
  result.push_back(curve.back());
  return result;
}

PixelCounts::PixelCounts(double low, double high, size_t bins)
    : low_(low), high_(high), normal_(bins, 0), defective_(bins, 0), coverage_(bins, 0.0) {
  check(low < high && bins > 0, "PixelCounts: {} bins from {} to {}", bins, low, high);
}

void PixelCounts::add(std::span<const float> map, std::span<const uint8_t> mask, int64_t height,
                      int64_t width) {
  check(map.size() == mask.size(), "PixelCounts: {} values and {} mask pixels", map.size(), mask.size());
  const Regions regions = connected_components(mask, height, width);
  const double bins = static_cast<double>(normal_.size());
  for (size_t i = 0; i < map.size(); ++i) {
    const double place = (map[i] - low_) / (high_ - low_) * bins;
    const size_t bin = static_cast<size_t>(std::clamp(place, 0.0, bins - 1));
    const int32_t label = regions.labels[i];
    if (label == 0) {
      ++normal_[bin], ++normal_total_;
    } else {
      ++defective_[bin], ++defective_total_;
      coverage_[bin] += 1.0 / static_cast<double>(regions.sizes[static_cast<size_t>(label - 1)]);
    }
  }
  regions_ += regions.sizes.size();
}

void PixelCounts::add(const PixelCounts& other) {
  check(other.normal_.size() == normal_.size() && other.low_ == low_ && other.high_ == high_,
        "PixelCounts: the bins differ");
  for (size_t i = 0; i < normal_.size(); ++i) {
    normal_[i] += other.normal_[i];
    defective_[i] += other.defective_[i];
    coverage_[i] += other.coverage_[i];
  }
  normal_total_ += other.normal_total_;
  defective_total_ += other.defective_total_;
  regions_ += other.regions_;
}

Curve PixelCounts::roc() const {
  if (!complete()) return {};
  Curve curve{{0, 0}};
  double hits = 0, alarms = 0;
  for (size_t i = normal_.size(); i-- > 0;) {
    hits += static_cast<double>(defective_[i]), alarms += static_cast<double>(normal_[i]);
    curve.push_back(
        {alarms / static_cast<double>(normal_total_), hits / static_cast<double>(defective_total_)});
  }
  return curve;
}

Curve PixelCounts::pr() const {
  if (!complete()) return {};
  Curve curve;
  double hits = 0, alarms = 0;
  for (size_t i = normal_.size(); i-- > 0;) {
    hits += static_cast<double>(defective_[i]), alarms += static_cast<double>(normal_[i]);
    if (hits + alarms > 0)
      curve.push_back({hits / static_cast<double>(defective_total_), hits / (hits + alarms)});
  }
  return curve;
}

Curve PixelCounts::pro() const {
  if (!complete()) return {};
  Curve curve{{0, 0}};
  double coverage = 0, alarms = 0;
  for (size_t i = normal_.size(); i-- > 0;) {
    const CurvePoint last = curve.back();
    coverage += coverage_[i], alarms += static_cast<double>(normal_[i]);
    const CurvePoint point{alarms / static_cast<double>(normal_total_),
                           coverage / static_cast<double>(regions_)};
    if (point.x > pro_limit) {
      const double share = (pro_limit - last.x) / (point.x - last.x);
      curve.push_back({pro_limit, last.y + share * (point.y - last.y)});
      break;
    }
    curve.push_back(point);
  }
  return curve;
}

}  // namespace dinomaly
