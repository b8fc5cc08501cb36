#include "dinomaly/evaluation/bootstrap.h"

#include <doctest/doctest.h>

#include <cmath>
#include <string>

#include "dinomaly/base/framework.h"
#include "dinomaly/evaluation/metrics.h"
#include "dinomaly/evaluation/ranking.h"

namespace dinomaly {
namespace {

struct Drawn {
  CategoryResult result;
  std::vector<uint8_t> labels;
};

// Scores and pixels of anomalous images are higher by `shift` standard deviations.
Drawn draw(int64_t count, double shift, uint64_t seed, bool masks = true) {
  constexpr int64_t side = 16;
  Generator generator(seed);
  Drawn drawn;
  drawn.result.maps = Tensor::normal({count, side, side}, 0, 1, generator);
  const std::vector<float> noise = Tensor::normal({count}, 0, 1, generator).to_vector<float>();
  Tensor mask = Tensor::zeros({count, side, side}, Dtype::u8);
  for (int64_t i = 0; i < count; ++i) {
    const bool anomalous = i % 2 == 1;
    drawn.labels.push_back(anomalous);
    drawn.result.scores.push_back(noise[static_cast<size_t>(i)] + static_cast<float>(anomalous ? shift : 0));
    for (int64_t p = 0; anomalous && p < 5 * side; ++p) {
      mask.data<uint8_t>()[i * side * side + p] = 1;
      drawn.result.maps.data<float>()[i * side * side + p] += static_cast<float>(shift);
    }
  }
  if (masks) drawn.result.masks = mask;
  if (masks) {
    drawn.result.metrics = evaluate_paper(drawn.result.maps, mask, drawn.labels, drawn.result.scores);
  } else {
    const RankingMetrics image = ranking_metrics(drawn.result.scores, drawn.labels);
    drawn.result.metrics = {image.auroc, image.ap, image.f1max, NAN, NAN, NAN, NAN};
  }
  return drawn;
}

constexpr std::array every{&Metrics::image_auroc, &Metrics::image_ap, &Metrics::image_f1max,
                           &Metrics::pixel_auroc, &Metrics::pixel_ap, &Metrics::pixel_f1max,
                           &Metrics::aupro};

}  // namespace

TEST_CASE("bootstrap: intervals hold the metric, shrink with the square root of the images, and repeat") {
  const Drawn few = draw(40, 1.5, 3), many = draw(640, 1.5, 4);
  const Intervals small = bootstrap_intervals({few.result}, {few.labels}),
                  large = bootstrap_intervals({many.result}, {many.labels});
  for (const auto member : every) {
    const MetricIntervals &a = small.categories[0], &b = large.categories[0];
    CHECK(a.low.*member < few.result.metrics.*member);
    CHECK(a.high.*member > few.result.metrics.*member);
    const double ratio = (a.high.*member - a.low.*member) / (b.high.*member - b.low.*member);
    CHECK(ratio > 2.2);  // 4 in the limit
    CHECK(ratio < 7.5);
    CHECK(small.mean.low.*member == a.low.*member);  // of one category
  }
  const Intervals again = bootstrap_intervals({few.result}, {few.labels});
  const Intervals other =
      bootstrap_intervals({few.result}, {few.labels}, {.resamples = 1000, .seed = 70'000});
  CHECK(again.mean.low.image_auroc == small.mean.low.image_auroc);
  CHECK(std::abs(other.mean.low.pixel_ap - small.mean.low.pixel_ap) < 0.05);
}

TEST_CASE("bootstrap: of 200 sets drawn alike about 95 in 100 intervals hold the truth") {
  // The AUROC of two normals that are 1.5 apart.
  const double truth = 0.5 * (1 + std::erf(1.5 / 2));
  int held = 0;
  for (uint64_t seed = 0; seed < 200; ++seed) {
    const Drawn set = draw(60, 1.5, 100 + seed, false);
    const MetricIntervals interval =
        bootstrap_intervals({set.result}, {set.labels}, {.resamples = 200, .seed = seed}).mean;
    held += interval.low.image_auroc <= truth && truth <= interval.high.image_auroc;
  }
  CHECK(held >= 176);  // 0.88
  CHECK(held < 200);
}

TEST_CASE("bootstrap: what is not defined has no interval; perfect metrics stay at 1") {
  const Drawn unmasked = draw(20, 1, 5, false), perfect = draw(20, 100, 6);
  const MetricIntervals none = bootstrap_intervals({unmasked.result}, {unmasked.labels}).mean;
  CHECK(std::isnan(none.low.pixel_auroc));
  CHECK(std::isnan(none.high.aupro));
  CHECK(none.low.image_auroc > 0);
  const MetricIntervals sure = bootstrap_intervals({perfect.result}, {perfect.labels}).mean;
  CHECK(sure.low.image_auroc == 1);
  CHECK(sure.high.pixel_auroc <= 1);
}

// Objects of so many images, which all show the same: their noise is that of the object.
Drawn draw_objects(int64_t objects, int64_t images, uint64_t seed) {
  Drawn each = draw(objects, 1.5, seed, false), all;
  for (int64_t i = 0; i < objects * images; ++i) {
    const auto object = static_cast<size_t>(i / images);
    all.labels.push_back(each.labels[object]);
    all.result.scores.push_back(each.result.scores[object]);
    all.result.objects.object_of.push_back(i / images);
    all.result.objects.infrared.push_back(0);
  }
  for (size_t i = 0; i < each.labels.size(); ++i) all.result.objects.names.push_back(std::to_string(i));
  all.result.objects.scores = each.result.scores;
  all.result.objects.labels = each.labels;
  all.result.metrics = each.result.metrics;
  all.result.maps = Tensor::zeros({objects * images, 2, 2});
  return all;
}

TEST_CASE("bootstrap: objects are drawn with all of their images, so that more images of each tell no more") {
  const Drawn one = draw_objects(60, 1, 7), five = draw_objects(60, 5, 7);
  const MetricIntervals a = bootstrap_intervals({one.result}, {one.labels}).mean,
                        b = bootstrap_intervals({five.result}, {five.labels}).mean;
  CHECK(b.low.image_auroc == doctest::Approx(a.low.image_auroc).epsilon(1e-9));
  CHECK(b.high.image_auroc == doctest::Approx(a.high.image_auroc).epsilon(1e-9));
  CHECK(b.high.image_auroc - b.low.image_auroc > 0.1);
  // An object has the score of its image here, and so its interval.
  CHECK(b.low.objects.auroc == doctest::Approx(b.low.image_auroc).epsilon(1e-9));
  CHECK(b.high.objects.auroc == doctest::Approx(b.high.image_auroc).epsilon(1e-9));
  CHECK(b.low.objects.ap < b.high.objects.ap);
  CHECK(b.low.objects.f1max < b.high.objects.f1max);
  CHECK(std::isnan(b.low.infrared.aupro));
  const Drawn images = draw(60, 1.5, 7);
  CHECK(std::isnan(bootstrap_intervals({images.result}, {images.labels}).mean.low.objects.auroc));
}

TEST_CASE("bootstrap: of pairs each sensor has intervals of its own, objects those of their own scores") {
  Drawn pairs = draw(80, 1.5, 8);
  ObjectScores& objects = pairs.result.objects;
  for (int64_t i = 0; i < 80; ++i) {  // 2 i is RGB and good, 2 i + 1 infrared: nothing is known of RGB
    objects.object_of.push_back(i / 2);
    objects.infrared.push_back(i % 2 == 1);
  }
  // Half of the infrared images are good: of every second object.
  for (size_t i = 1; i < 80; i += 4) pairs.labels[i] = 0;
  for (size_t i = 0; i < 40; ++i) {
    objects.names.push_back(std::to_string(i));
    objects.labels.push_back(pairs.labels[2 * i + 1]);
    objects.scores.push_back(pairs.result.scores[2 * i] + pairs.result.scores[2 * i + 1]);
  }
  pairs.result.metrics = {NAN, NAN, NAN, NAN, NAN, NAN, NAN};
  std::vector<float> scores;
  std::vector<uint8_t> labels;
  for (size_t i = 1; i < 80; i += 2)
    scores.push_back(pairs.result.scores[i]), labels.push_back(pairs.labels[i]);
  const RankingMetrics infrared = ranking_metrics(scores, labels);
  pairs.result.infrared = Metrics{infrared.auroc, infrared.ap, infrared.f1max, 0.5, 0.5, 0.5, 0.5};
  const MetricIntervals found = bootstrap_intervals({pairs.result}, {pairs.labels}).mean;
  CHECK(std::isnan(found.low.image_auroc));
  CHECK(found.low.infrared.image_auroc < infrared.auroc);
  CHECK(found.high.infrared.image_auroc > infrared.auroc);
  CHECK(std::isfinite(found.low.infrared.pixel_auroc));
  const RankingMetrics own = ranking_metrics(objects.scores, objects.labels);
  CHECK(found.low.objects.auroc < own.auroc);
  CHECK(found.high.objects.auroc > own.auroc);
}

TEST_CASE("share intervals: Wilson's") {
  CHECK(share_interval(0, 20).low == doctest::Approx(0).epsilon(1e-9));
  CHECK(share_interval(0, 20).high == doctest::Approx(0.16113).epsilon(1e-4));
  CHECK(share_interval(10, 20).low == doctest::Approx(0.29930).epsilon(1e-4));
  CHECK(share_interval(20, 20).high == doctest::Approx(1));
  CHECK(share_interval(0, 0).high == 1);
}

}  // namespace dinomaly
