#include "dinomaly/evaluation/bootstrap.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <random>

#include "dinomaly/base/framework.h"
#include "dinomaly/evaluation/curves.h"
#include "dinomaly/evaluation/ranking.h"
#include "tensor/error.h"

namespace dinomaly {
namespace {

constexpr size_t bins = 500;
constexpr std::array members{&Metrics::image_auroc, &Metrics::image_ap, &Metrics::image_f1max,
                             &Metrics::pixel_auroc, &Metrics::pixel_ap, &Metrics::pixel_f1max,
                             &Metrics::aupro};

double area_under(const Curve& curve) {
  double sum = 0;
  for (size_t i = 1; i < curve.size(); ++i)
    sum += (curve[i].x - curve[i - 1].x) * (curve[i].y + curve[i - 1].y) / 2;
  return sum;
}

void add_pixel_metrics(const PixelCounts& counts, Metrics& metrics) {
  constexpr double pro_limit = 0.3;
  metrics.pixel_auroc = metrics.pixel_ap = metrics.pixel_f1max = metrics.aupro = NAN;
  const Curve roc = counts.roc();
  if (roc.empty()) return;
  metrics.pixel_auroc = area_under(roc);
  metrics.pixel_ap = metrics.pixel_f1max = 0;
  double recall = 0;
  for (const CurvePoint& point : counts.pr()) {
    metrics.pixel_ap += (point.x - recall) * point.y;
    recall = point.x;
    if (point.x + point.y > 0)
      metrics.pixel_f1max = std::max(metrics.pixel_f1max, 2 * point.x * point.y / (point.x + point.y));
  }
  metrics.aupro = area_under(counts.pro()) / pro_limit;
}

// One category's images, ready to be drawn from.
class Resampler {
 public:
  Resampler(const CategoryResult& result, const std::vector<uint8_t>& labels)
      : result_(result), labels_(labels) {
    check(labels.size() == result.scores.size(), "bootstrap: {} labels of {} images", labels.size(),
          result.scores.size());
    for (size_t i = 0; i < labels.size(); ++i) (labels[i] ? anomalous_ : good_).push_back(i);
    if (result.masks.defined()) count_pixels();
  }

  Metrics of_all() const {
    std::vector<size_t> all(labels_.size());
    for (size_t i = 0; i < all.size(); ++i) all[i] = i;
    return of(all);
  }

  // Of a resample. `generator` makes the same numbers on every machine; the remainder's bias is below 1e-15.
  Metrics of_resample(std::mt19937_64& generator) const {
    std::vector<size_t> drawn;
    for (const std::vector<size_t>* kind : {&good_, &anomalous_}) {
      for (size_t i = 0; i < kind->size(); ++i) drawn.push_back((*kind)[generator() % kind->size()]);
    }
    return of(drawn);
  }

 private:
  void count_pixels() {
    const int64_t height = result_.maps.size(1), width = result_.maps.size(2);
    const size_t pixels = static_cast<size_t>(height * width);
    const float* maps = result_.maps.data<float>();
    const auto [low, high] = std::minmax_element(maps, maps + result_.maps.numel());
    low_ = *low, high_ = std::max<double>(*high, low_ + 1e-9);
    for (size_t i = 0; i < labels_.size(); ++i) {
      images_.emplace_back(low_, high_, bins);
      images_.back().add({maps + i * pixels, pixels}, {result_.masks.data<uint8_t>() + i * pixels, pixels},
                         height, width);
    }
  }

  Metrics of(const std::vector<size_t>& drawn) const {
    std::vector<float> scores;
    std::vector<uint8_t> labels;
    PixelCounts counts(low_, high_, bins);
    for (const size_t i : drawn) {
      scores.push_back(result_.scores[i]);
      labels.push_back(labels_[i]);
      if (!images_.empty()) counts.add(images_[i]);
    }
    const RankingMetrics image = ranking_metrics(scores, labels);
    Metrics metrics{image.auroc, image.ap, image.f1max};
    add_pixel_metrics(counts, metrics);
    return metrics;
  }

  const CategoryResult& result_;
  const std::vector<uint8_t>& labels_;
  std::vector<size_t> good_, anomalous_;
  double low_ = 0, high_ = 1;
  std::vector<PixelCounts> images_;  // empty without masks
};

// `all`: the metrics of all images as the resamples are computed.
MetricIntervals interval_of(const std::vector<Metrics>& resamples, const Metrics& all,
                            const Metrics& reported) {
  MetricIntervals result;
  for (const auto member : members) {
    std::vector<double> values;
    for (const Metrics& one : resamples) values.push_back(one.*member);
    std::sort(values.begin(), values.end());
    const double last = static_cast<double>(values.size() - 1), moved = reported.*member - all.*member;
    const auto quantile = [&](double share) {
      const double value = values[static_cast<size_t>(std::llround(share * last))] + moved;
      return std::isfinite(value) ? std::clamp(value, 0.0, 1.0) : NAN;
    };
    result.low.*member = quantile(0.025);
    result.high.*member = quantile(0.975);
  }
  return result;
}

Metrics mean_of(const std::vector<Metrics>& metrics) {
  Metrics mean;
  for (const auto member : members) {
    for (const Metrics& one : metrics) mean.*member += one.*member / static_cast<double>(metrics.size());
  }
  return mean;
}

}  // namespace

Intervals bootstrap_intervals(const std::vector<CategoryResult>& results,
                              const std::vector<std::vector<uint8_t>>& labels,
                              const BootstrapOptions& options) {
  check(labels.size() == results.size() && !results.empty() && options.resamples > 1,
        "bootstrap: {} results, {} lists of labels, {} resamples", results.size(), labels.size(),
        options.resamples);
  Intervals intervals;
  std::vector<std::vector<Metrics>> by_resample(static_cast<size_t>(options.resamples));
  std::vector<Metrics> all, reported;
  for (size_t c = 0; c < results.size(); ++c) {
    const Resampler resampler(results[c], labels[c]);
    std::vector<Metrics> resamples(by_resample.size());
#pragma omp parallel for schedule(static)
    for (size_t i = 0; i < resamples.size(); ++i) {
      std::mt19937_64 generator(options.seed + i * results.size() + c);  // whichever thread draws it
      resamples[i] = resampler.of_resample(generator);
    }
    all.push_back(resampler.of_all());
    reported.push_back(results[c].metrics);
    intervals.categories.push_back(interval_of(resamples, all.back(), reported.back()));
    for (size_t i = 0; i < resamples.size(); ++i) by_resample[i].push_back(resamples[i]);
  }
  std::vector<Metrics> means;
  for (const std::vector<Metrics>& resample : by_resample) means.push_back(mean_of(resample));
  intervals.mean = interval_of(means, mean_of(all), mean_of(reported));
  return intervals;
}

ShareInterval share_interval(int64_t hits, int64_t count) {
  if (count <= 0) return {};
  constexpr double z = 1.959963984540054;
  const double n = static_cast<double>(count), share = static_cast<double>(hits) / n;
  const double middle = share + z * z / (2 * n),
               half = z * std::sqrt(share * (1 - share) / n + z * z / (4 * n * n)), scale = 1 + z * z / n;
  return {std::max(0.0, (middle - half) / scale), std::min(1.0, (middle + half) / scale)};
}

}  // namespace dinomaly
