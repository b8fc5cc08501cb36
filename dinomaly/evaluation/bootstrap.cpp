#include "dinomaly/evaluation/bootstrap.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <random>

#include "dinomaly/base/framework.h"
#include "dinomaly/base/parallel.h"
#include "dinomaly/evaluation/curves.h"
#include "dinomaly/evaluation/ranking.h"
#include "tensor/error.h"

namespace dinomaly {
namespace {

constexpr size_t bins = 500;

// Each number of `m`, always in the same order.
template <class AnyMetrics, class Visit>
void for_each_number(AnyMetrics& m, Visit visit) {
  constexpr std::array members{&Metrics::image_auroc, &Metrics::image_ap, &Metrics::image_f1max,
                               &Metrics::pixel_auroc, &Metrics::pixel_ap, &Metrics::pixel_f1max,
                               &Metrics::aupro};
  for (const auto member : members) visit(m.*member), visit(m.infrared.*member);
  visit(m.objects.auroc), visit(m.objects.ap), visit(m.objects.f1max);
}

std::vector<double> numbers_of(const AllMetrics& metrics) {
  std::vector<double> numbers;
  for_each_number(metrics, [&](double value) { numbers.push_back(value); });
  return numbers;
}

AllMetrics metrics_of(const std::vector<double>& numbers) {
  AllMetrics metrics;
  size_t next = 0;
  for_each_number(metrics, [&](double& value) { value = numbers[next++]; });
  return metrics;
}

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

// What is drawn at once: an image, or all images of an object.
struct Unit {
  std::vector<size_t> images = {};
  int64_t object = -1;  // its place among the objects
};

// One category's images, ready to be drawn from.
class Resampler {
 public:
  Resampler(const CategoryResult& result, const std::vector<uint8_t>& labels)
      : result_(result), labels_(labels) {
    check(labels.size() == result.scores.size(), "bootstrap: {} labels of {} images", labels.size(),
          result.scores.size());
    for (size_t i = 0; i < result.objects.names.size(); ++i)
      (result.objects.labels[i] ? anomalous_ : good_).push_back({.object = static_cast<int64_t>(i)});
    std::vector<Unit*> of_object(result.objects.names.size());
    for (std::vector<Unit>* kind : {&good_, &anomalous_}) {
      for (Unit& unit : *kind) of_object[static_cast<size_t>(unit.object)] = &unit;
    }
    std::vector<size_t> alone;
    for (size_t i = 0; i < labels.size(); ++i) {
      const int64_t object = result.objects.empty() ? -1 : result.objects.object_of.at(i);
      if (object < 0)
        alone.push_back(i);
      else
        of_object[static_cast<size_t>(object)]->images.push_back(i);
    }
    for (const size_t i : alone) (labels[i] ? anomalous_ : good_).push_back({.images = {i}});
    if (result.masks.defined()) count_pixels();
  }

  AllMetrics of_all() const {
    std::vector<const Unit*> all;
    for (const std::vector<Unit>* kind : {&good_, &anomalous_}) {
      for (const Unit& unit : *kind) all.push_back(&unit);
    }
    return of(all);
  }

  // Of a resample. `generator` makes the same numbers on every machine; the remainder's bias is below 1e-15.
  AllMetrics of_resample(std::mt19937_64& generator) const {
    std::vector<const Unit*> drawn;
    for (const std::vector<Unit>* kind : {&good_, &anomalous_}) {
      for (size_t i = 0; i < kind->size(); ++i) drawn.push_back(&(*kind)[generator() % kind->size()]);
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

  // Of the images of one sensor, or of all where there are no pairs.
  Metrics of_images(const std::vector<const Unit*>& drawn, bool infrared) const {
    std::vector<float> scores;
    std::vector<uint8_t> labels;
    PixelCounts counts(low_, high_, bins);
    for (const Unit* unit : drawn) {
      for (const size_t i : unit->images) {
        if (result_.infrared && (result_.objects.infrared.at(i) != 0) != infrared) continue;
        scores.push_back(result_.scores[i]);
        labels.push_back(labels_[i] != 0);
        if (!images_.empty()) counts.add(images_[i]);
      }
    }
    const auto anomalous = std::count(labels.begin(), labels.end(), uint8_t{1});
    if (anomalous == 0 || anomalous == std::ssize(labels)) return {NAN, NAN, NAN, NAN, NAN, NAN, NAN};
    const RankingMetrics image = ranking_metrics(scores, labels);
    Metrics metrics{image.auroc, image.ap, image.f1max};
    add_pixel_metrics(counts, metrics);
    return metrics;
  }

  AllMetrics of(const std::vector<const Unit*>& drawn) const {
    ObjectScores objects;
    for (const Unit* unit : drawn) {
      if (unit->object < 0) continue;
      objects.scores.push_back(result_.objects.scores.at(static_cast<size_t>(unit->object)));
      objects.labels.push_back(result_.objects.labels.at(static_cast<size_t>(unit->object)));
    }
    AllMetrics metrics{of_images(drawn, false), object_metrics(objects), {NAN, NAN, NAN, NAN, NAN, NAN, NAN}};
    if (result_.infrared) metrics.infrared = of_images(drawn, true);
    return metrics;
  }

  const CategoryResult& result_;
  const std::vector<uint8_t>& labels_;
  std::vector<Unit> good_, anomalous_;
  double low_ = 0, high_ = 1;
  std::vector<PixelCounts> images_;  // empty without masks
};

// `all`: the metrics of all images as the resamples are computed.
MetricIntervals interval_of(const std::vector<AllMetrics>& resamples, const AllMetrics& all,
                            const AllMetrics& reported) {
  std::vector<std::vector<double>> values;  // of each number
  for (const AllMetrics& one : resamples) {
    const std::vector<double> numbers = numbers_of(one);
    values.resize(numbers.size());
    for (size_t i = 0; i < numbers.size(); ++i) {
      if (std::isfinite(numbers[i])) values[i].push_back(numbers[i]);
    }
  }
  const std::vector<double> from = numbers_of(all), to = numbers_of(reported);
  std::vector<double> low, high;
  for (size_t i = 0; i < values.size(); ++i) {
    std::sort(values[i].begin(), values[i].end());
    const auto quantile = [&](double share) {
      if (values[i].empty()) return double{NAN};
      const double last = static_cast<double>(values[i].size() - 1);
      const double value = values[i][static_cast<size_t>(std::llround(share * last))] + to[i] - from[i];
      return std::isfinite(value) ? std::clamp(value, 0.0, 1.0) : NAN;
    };
    low.push_back(quantile(0.025)), high.push_back(quantile(0.975));
  }
  return {metrics_of(low), metrics_of(high)};
}

AllMetrics mean_of(const std::vector<AllMetrics>& metrics) {
  std::vector<double> mean(numbers_of(AllMetrics{}).size());
  for (const AllMetrics& one : metrics) {
    const std::vector<double> numbers = numbers_of(one);
    for (size_t i = 0; i < mean.size(); ++i) mean[i] += numbers[i] / static_cast<double>(metrics.size());
  }
  return metrics_of(mean);
}

}  // namespace

Intervals bootstrap_intervals(const std::vector<CategoryResult>& results,
                              const std::vector<std::vector<uint8_t>>& labels,
                              const BootstrapOptions& options) {
  check(labels.size() == results.size() && !results.empty() && options.resamples > 1,
        "bootstrap: {} results, {} lists of labels, {} resamples", results.size(), labels.size(),
        options.resamples);
  Intervals intervals;
  std::vector<std::vector<AllMetrics>> by_resample(static_cast<size_t>(options.resamples));
  std::vector<AllMetrics> all, reported;
  for (size_t c = 0; c < results.size(); ++c) {
    const Resampler resampler(results[c], labels[c]);
    std::vector<AllMetrics> resamples(by_resample.size());
    for_each_in_parallel(resamples.size(), [&](size_t i) {
      std::mt19937_64 generator(options.seed + i * results.size() + c);  // whichever thread draws it
      resamples[i] = resampler.of_resample(generator);
    });
    all.push_back(resampler.of_all());
    reported.push_back(all_metrics(results[c]));
    intervals.categories.push_back(interval_of(resamples, all.back(), reported.back()));
    for (size_t i = 0; i < resamples.size(); ++i) by_resample[i].push_back(resamples[i]);
  }
  std::vector<AllMetrics> means;
  for (const std::vector<AllMetrics>& resample : by_resample) means.push_back(mean_of(resample));
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
