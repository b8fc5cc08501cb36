#include "dinomaly/evaluation/metrics.h"

#include <doctest/doctest.h>
#include <omp.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <functional>
#include <limits>
#include <set>

#include "dinomaly/base/framework.h"
#include "dinomaly/evaluation/aupro.h"
#include "dinomaly/evaluation/radix_sort.h"
#include "dinomaly/image/connected_components.h"
#include "tensor/io/safetensors.h"
#include "tests/support.h"

namespace dinomaly {
namespace {

struct Images {
  int64_t count, height, width;
  std::vector<float> maps;
  std::vector<uint8_t> masks;
};

// Random masks of the given density; maps of `levels` distinct values, higher where the mask is set.
Images random_images(int64_t count, int64_t height, int64_t width, double density, int levels,
                     uint64_t seed) {
  Generator generator(seed);
  Images images{count, height, width, {}, {}};
  for (int64_t i = 0; i < count * height * width; ++i) {
    images.masks.push_back(generator.uniform() < density ? 255 : 0);
    const double value = generator.uniform() + (images.masks.back() != 0 ? 0.4 : 0.0);
    images.maps.push_back(static_cast<float>(std::floor(value * levels)) / 8 - 3);
  }
  return images;
}

// Regions by flooding, numbered in reading order.
std::vector<int32_t> flooded_regions(const uint8_t* mask, int64_t height, int64_t width) {
  std::vector<int32_t> labels(static_cast<size_t>(height * width), 0);
  int32_t count = 0;
  for (int64_t start = 0; start < height * width; ++start) {
    if (mask[start] == 0 || labels[start] != 0) continue;
    labels[start] = ++count;
    std::vector<int64_t> open{start};
    while (!open.empty()) {
      const int64_t y = open.back() / width, x = open.back() % width;
      open.pop_back();
      for (int64_t v = std::max<int64_t>(y - 1, 0); v <= std::min(y + 1, height - 1); ++v) {
        for (int64_t u = std::max<int64_t>(x - 1, 0); u <= std::min(x + 1, width - 1); ++u) {
          if (mask[v * width + u] == 0 || labels[v * width + u] != 0) continue;
          labels[v * width + u] = count;
          open.push_back(v * width + u);
        }
      }
    }
  }
  return labels;
}

struct ProPoint {
  double fpr, pro;
};

// FPR and PRO of "map is anomalous where `above(value)`", straight from their definition.
ProPoint measure(const Images& images, const std::function<bool(float)>& above) {
  double false_positives = 0, negatives = 0, overlap = 0, regions = 0;
  for (int64_t n = 0; n < images.count; ++n) {
    const int64_t pixels = images.height * images.width;
    const float* map = images.maps.data() + n * pixels;
    const std::vector<int32_t> labels =
        flooded_regions(images.masks.data() + n * pixels, images.height, images.width);
    const int32_t count = *std::max_element(labels.begin(), labels.end());
    for (int32_t region = 0; region <= count; ++region) {
      double size = 0, hits = 0;
      for (int64_t i = 0; i < pixels; ++i) {
        if (labels[i] != region) continue;
        size += 1;
        hits += above(map[i]) ? 1 : 0;
      }
      if (region == 0) {
        negatives += size;
        false_positives += hits;
      } else {
        regions += 1;
        overlap += hits / size;
      }
    }
  }
  return {false_positives / negatives, overlap / regions};
}

double brute_force_official(const Images& images) {
  const std::set<float, std::greater<>> values(images.maps.begin(), images.maps.end());
  ProPoint last{0, 0};
  double area = 0;
  for (const float threshold : values) {
    ProPoint point = measure(images, [threshold](float value) { return value >= threshold; });
    const bool past = point.fpr > 0.3;
    if (past) point = {0.3, last.pro + (point.pro - last.pro) * (0.3 - last.fpr) / (point.fpr - last.fpr)};
    area += (point.fpr - last.fpr) * (point.pro + last.pro) / 2;
    last = point;
    if (past) break;
  }
  return area / 0.3;
}

double brute_force_paper(const Images& images) {
  const auto [low, high] = std::minmax_element(images.maps.begin(), images.maps.end());
  const double step = (double{*high} - double{*low}) / 200;
  std::vector<ProPoint> points;
  for (int i = 0; i < 200; ++i) {
    const double threshold = double{*low} + i * step;
    const ProPoint point = measure(images, [threshold](float value) { return value > threshold; });
    if (point.fpr < 0.3) points.push_back(point);
  }
  double area = 0;
  for (size_t i = 1; i < points.size(); ++i) {
    area += (points[i - 1].fpr - points[i].fpr) * (points[i - 1].pro + points[i].pro) / 2;
  }
  return area / points[0].fpr;
}

TEST_CASE("ranking metrics equal scikit-learn's") {
  struct Case {
    std::vector<float> scores;
    std::vector<uint8_t> labels;
    double auroc, ap, f1max;  // roc_auc_score, average_precision_score, from precision_recall_curve
  };
  const std::vector<Case> cases{
      {{0.1f, 0.4f, 0.35f, 0.8f}, {0, 0, 1, 1}, 0.75, 0.8333333333333333, 0.7999999520000028},
      {{0.5f, 0.5f, 0.5f, 0.5f, 0.5f}, {1, 0, 0, 1, 0}, 0.5, 0.4, 0.5714285306122479},
      {{1, 2, 2, 3, 3, 3, 4, 5, -1, -0.0f, 0.0f, 2},
       {0, 1, 0, 0, 1, 1, 1, 0, 0, 1, 0, 0},
       0.6428571428571429,
       0.5309090909090909,
       0.6249999570312529},
      {{-3.5f, 1e-40f, 0, -1e-40f, 7.25f, 1e30f, -1e30f, 2.5f},
       {0, 1, 0, 0, 1, 0, 0, 1},
       0.8,
       0.6388888888888888,
       0.857142808163268}};
  for (const Case& c : cases) {
    CHECK(std::abs(roc_auc(c.scores, c.labels) - c.auroc) < 1e-12);
    CHECK(std::abs(average_precision(c.scores, c.labels) - c.ap) < 1e-12);
    CHECK(std::abs(f1_max(c.scores, c.labels) - c.f1max) < 1e-12);
  }
}

TEST_CASE("ranking metrics of 3000 scores with ties equal scikit-learn's") {
  std::vector<float> scores;
  std::vector<uint8_t> labels;
  uint32_t state = 12345;  // the recurrence of Numerical Recipes, repeated in Python for the expected values
  const auto next = [&state] { return (state = state * 1664525u + 1013904223u) >> 16; };
  for (int i = 0; i < 3000; ++i) {
    const uint32_t value = next() % 997;
    labels.push_back(next() % 1000 < 60 + value / 4 ? 1 : 0);
    scores.push_back((static_cast<float>(value) - 500.0f) / 8.0f);
  }
  const RankingMetrics metrics = ranking_metrics(scores, labels);
  CHECK(std::abs(metrics.auroc - 0.6330289968652039) < 1e-12);
  CHECK(std::abs(metrics.ap - 0.2757072662321635) < 1e-12);
  CHECK(std::abs(metrics.f1max - 0.38213675637806443) < 1e-12);
}

TEST_CASE("radix sort orders keys and keeps equal ones in place") {
  Generator generator(5);
  for (const size_t count : {size_t{0}, size_t{1}, size_t{1000}, size_t{250'000}}) {
    std::vector<uint64_t> records;
    for (size_t i = 0; i < count; ++i) {
      const uint32_t key = descending_key(static_cast<float>(std::floor(generator.normal() * 1000)));
      records.push_back(uint64_t{key} << 32 | i);
    }
    std::vector<uint64_t> expected = records;
    std::sort(expected.begin(), expected.end());  // among equals the index below the key decides
    radix_sort(records);
    CHECK(records == expected);
  }
}

TEST_CASE("connected components equal flooding") {
  uint64_t seed = 1;
  for (const double density : {0.0, 0.1, 0.3, 0.4, 0.6, 0.9, 1.0}) {
    for (const auto& [height, width] : {std::pair{1, 40}, {40, 1}, {2, 2}, {23, 31}, {40, 57}}) {
      const Images image = random_images(1, height, width, density, 4, seed++);
      const Regions regions = connected_components(image.masks, height, width);
      CHECK(regions.labels == flooded_regions(image.masks.data(), height, width));
      for (size_t i = 0; i < regions.sizes.size(); ++i) {
        CHECK(regions.sizes[i] ==
              std::count(regions.labels.begin(), regions.labels.end(), static_cast<int32_t>(i + 1)));
      }
    }
  }
  CHECK(connected_components({}, 0, 7).sizes.empty());
  CHECK_THROWS_AS(connected_components(std::vector<uint8_t>(6), 2, 4), Error);
}

TEST_CASE("AU-PRO equals its definition") {
  uint64_t seed = 100;
  for (const double density : {0.02, 0.2, 0.5}) {
    for (const int levels : {1, 3, 30, 100'000}) {
      const Images images = random_images(3, 9, 14, density, levels, seed++);
      CAPTURE(density);
      CAPTURE(levels);
      const auto& [count, height, width, maps, masks] = images;
      CHECK(std::abs(aupro_official(maps, masks, count, height, width) - brute_force_official(images)) <
            1e-12);
      const double paper = brute_force_paper(images), own = aupro_paper(maps, masks, count, height, width);
      if (std::isnan(paper))
        CHECK(std::isnan(own));
      else
        CHECK(std::abs(own - paper) < 1e-12);
    }
  }
}

TEST_CASE("AU-PRO of the paper: a value equal to a threshold is not above it") {
  Images images = random_images(3, 9, 14, 0.3, 8, 77);
  Generator generator(78);  // whole numbers from 0 to 200: the thresholds are 0, 1, .., 199
  for (float& value : images.maps) value = static_cast<float>(generator.below(201));
  images.maps.front() = 0;
  const auto defect = std::find(images.masks.begin() + 1, images.masks.end(), 255);
  images.maps[static_cast<size_t>(defect - images.masks.begin())] = 200;
  float highest = 200;  // normal pixels of 200 and 199: the curve's first two points differ
  for (size_t i = 1; i < images.maps.size() && highest >= 199; ++i) {
    if (images.masks[i] == 0) images.maps[i] = highest--;
  }
  const auto& [count, height, width, maps, masks] = images;
  CHECK(std::abs(aupro_paper(maps, masks, count, height, width) - brute_force_paper(images)) < 1e-12);
}

TEST_CASE("AU-PRO of the paper: a false positive rate of exactly 0.3 is outside") {
  // Ten normal pixels, thresholds 0, 1, .., 199. The curve's points are (0.1, 1/2) and (0.2, 1/2); the third
  // normal pixel would add (0.3, 1/2), and the defect's other half comes later.
  std::vector<float> map{200, 199, 198, 0, 0, 0, 0, 0, 0, 0, 200, 100};
  std::vector<uint8_t> mask{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 1};
  CHECK(std::abs(aupro_paper(map, mask, 1, 1, 12) - 0.1 * 0.5 / 0.2) < 1e-12);
}

TEST_CASE("AU-PRO of images that differ in size") {
  // One defect of one pixel, above all but one of the ten normal ones: PRO is 0 up to FPR 0.1, then 1.
  OfficialAupro aupro;
  aupro.add(std::vector<float>{0, 1, 2, 3}, std::vector<uint8_t>(4), 2, 2);
  aupro.add(std::vector<float>{4, 5, 8, 7, 6, 9, 0}, std::vector<uint8_t>{0, 0, 1, 0, 0, 0, 0}, 1, 7);
  CHECK(std::abs(aupro.compute() - 2.0 / 3) < 1e-12);
  CHECK(std::abs(aupro.compute(1.0) - 0.9) < 1e-12);
}

TEST_CASE("metrics refuse what they cannot rank") {
  const float nan = std::numeric_limits<float>::quiet_NaN();
  using Scores = std::vector<float>;
  using Labels = std::vector<uint8_t>;
  CHECK_THROWS_WITH_AS(roc_auc(Scores{1, 2}, Labels{0, 0}), doctest::Contains("all 2 labels are normal"),
                       InputError);
  CHECK_THROWS_WITH_AS(f1_max(Scores{1, 2}, Labels{1, 3}), doctest::Contains("are anomalous"), InputError);
  CHECK_THROWS_WITH_AS(roc_auc(Scores{1, nan}, Labels{0, 1}), doctest::Contains("score 1 is nan"),
                       InputError);
  CHECK_THROWS_AS(roc_auc(Scores{}, Labels{}), InputError);
  CHECK_THROWS_AS(roc_auc(Scores{1, 2, 3}, Labels{0, 1}), Error);
  for (const auto& aupro : {aupro_paper, aupro_official}) {
    CHECK_THROWS_WITH_AS(aupro(Scores{1, nan}, Labels{0, 1}, 1, 1, 2), doctest::Contains("holds nan"),
                         InputError);
    CHECK_THROWS_WITH_AS(aupro(Scores{1, 2}, Labels{0, 0}, 1, 1, 2), doctest::Contains("no defect"),
                         InputError);
    CHECK_THROWS_WITH_AS(aupro(Scores{1, 2}, Labels{1, 1}, 1, 1, 2), doctest::Contains("no normal"),
                         InputError);
    CHECK_THROWS_AS(aupro(Scores{1, 2}, Labels{0, 1}, 1, 1, 3), Error);
    CHECK_THROWS_AS(aupro(Scores{}, Labels{}, 0, 0, 0), InputError);
  }
  const Tensor maps = Tensor::from<float>({1, 2, 3, 4}, {2, 1, 2}),
               masks = Tensor::from<uint8_t>({0, 0, 0, 1}, {2, 1, 2});
  CHECK_THROWS_AS(evaluate_paper(maps, masks, Labels{0}, Scores{1}), Error);
  CHECK_THROWS_AS(evaluate_paper(maps, maps, Labels{0, 1}, Scores{1, 2}), Error);
  CHECK_THROWS_AS(evaluate_paper(maps, masks.reshape({2, 2, 1}), Labels{0, 1}, Scores{1, 2}), Error);
}

TEST_CASE("metrics equal the reference bundles") {
  const auto shared = shared_folder();
  if (!shared) return skip("no reference bundles: metrics");
  for (const char* name : {"metrics.safetensors", "metrics_ties.safetensors"}) {
    const SafeTensors file = SafeTensors::load(*shared / "reference" / name);
    const Tensor maps = file.get("maps"), masks = file.get("masks");
    const Metrics metrics = evaluate_paper(maps, masks, file.get("labels").to_vector<uint8_t>(),
                                           file.get("scores").to_vector<float>());
    const double official = aupro_official(maps.to_vector<float>(), masks.to_vector<uint8_t>(), maps.size(0),
                                           maps.size(1), maps.size(2));
    for (const auto& [key, value] : {std::pair{"image_auroc", metrics.image_auroc},
                                     {"image_ap", metrics.image_ap},
                                     {"image_f1max", metrics.image_f1max},
                                     {"pixel_auroc", metrics.pixel_auroc},
                                     {"pixel_ap", metrics.pixel_ap},
                                     {"pixel_f1max", metrics.pixel_f1max},
                                     {"aupro_paper", metrics.aupro},
                                     {"aupro_official", official}}) {
      CAPTURE(key);
      CHECK(std::abs(value - file.get(std::string("expect/") + key).item()) < 1e-9);
    }
  }
}

}  // namespace
TEST_CASE("metrics have the same bits with 1 to 7 threads") {
  const Images images = random_images(3, 256, 256, 0.55, 1000, 5);  // more than 100,000 pixels of each class
  const auto all = [&] {
    const RankingMetrics ranking = ranking_metrics(images.maps, images.masks);
    return std::vector<double>{
        ranking.auroc, ranking.ap, ranking.f1max,
        aupro_paper(images.maps, images.masks, images.count, images.height, images.width),
        aupro_official(images.maps, images.masks, images.count, images.height, images.width)};
  };
  const int before = omp_get_max_threads();
  omp_set_num_threads(1);
  const std::vector<double> expected = all();
  for (int threads = 2; threads <= 7; ++threads) {
    CAPTURE(threads);
    omp_set_num_threads(threads);
    CHECK(all() == expected);
  }
  omp_set_num_threads(before);
}

}  // namespace dinomaly
