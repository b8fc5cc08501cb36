#include "dinomaly/evaluation/metrics.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <limits>

#include "dinomaly/base/framework.h"
#include "dinomaly/evaluation/aupro.h"
#include "dinomaly/evaluation/radix_sort.h"
#include "tensor/io/safetensors.h"
#include "tensor/threads.h"
#include "tests/dinomaly/evaluation/random_maps.h"
#include "tests/support.h"

namespace dinomaly {

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

TEST_CASE("metrics have the same bits with 1 to 7 threads") {
  const RandomMaps images =
      random_maps(3, 256, 256, 0.55, 1000, 5);  // more than 100,000 pixels of each class
  const auto all = [&] {
    const RankingMetrics ranking = ranking_metrics(images.maps, images.masks);
    return std::vector<double>{
        ranking.auroc, ranking.ap, ranking.f1max,
        aupro_paper(images.maps, images.masks, images.count, images.height, images.width),
        aupro_official(images.maps, images.masks, images.count, images.height, images.width)};
  };
  const int before = nabla::num_threads();
  nabla::set_num_threads(1);
  const std::vector<double> expected = all();
  for (int threads = 2; threads <= 7; ++threads) {
    CAPTURE(threads);
    nabla::set_num_threads(threads);
    CHECK(all() == expected);
  }
  nabla::set_num_threads(before);
}

}  // namespace dinomaly
