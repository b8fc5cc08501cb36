// Objects of several images: their scores and metrics against a direct computation.
#include "dinomaly/evaluation/objects.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <nlohmann/json.hpp>

#include "dinomaly/base/framework.h"
#include "dinomaly/evaluation/evaluate.h"
#include "dinomaly/image/image.h"
#include "dinomaly/report/table.h"
#include "tensor/ops.h"
#include "tensor/random.h"
#include "tests/dinomaly/small_model.h"
#include "tests/support.h"

namespace dinomaly {

namespace {

Sample view_of(const std::string& object, bool anomalous = false) {
  return {.anomalous = anomalous, .object = object, .grouping = Grouping::views};
}

Tensor random_maps(int64_t count, int64_t side) {
  Generator generator(3);
  std::vector<float> values(static_cast<size_t>(count * side * side));
  for (float& value : values) value = static_cast<float>(generator.uniform());
  return Tensor::from(values, {count, side, side});
}

}  // namespace

TEST_CASE("objects: the score is the mean of the largest 1 % of all maps of the object together") {
  const std::vector<Sample> samples{view_of("a"), view_of("b", true), view_of("a"), view_of("b"),
                                    view_of("a"), view_of("a"),       view_of("a")};
  const Tensor maps = random_maps(7, 256);
  const ObjectScores objects = object_scores(samples, maps, 0.01);
  CHECK(objects.names == std::vector<std::string>{"a", "b"});
  CHECK(objects.labels == std::vector<uint8_t>{0, 1});
  const auto expected = [&](const std::vector<int64_t>& views, size_t k) {
    std::vector<float> all;
    for (const int64_t view : views) {
      const std::vector<float> own = maps.select(0, view).to_vector<float>();
      all.insert(all.end(), own.begin(), own.end());
    }
    std::sort(all.begin(), all.end(), std::greater<>());
    double sum = 0;
    for (size_t i = 0; i < k; ++i) sum += double{all[i]};
    return sum / static_cast<double>(k);
  };
  // Five views: 3276, where five times the 655 of one map were 3275.
  CHECK(objects.scores[0] == doctest::Approx(expected({0, 2, 4, 5, 6}, 3276)).epsilon(1e-6));
  CHECK(objects.scores[1] == doctest::Approx(expected({1, 3}, 1310)).epsilon(1e-6));
  const ObjectScores largest = object_scores(samples, maps, 0);
  CHECK(largest.scores[1] == static_cast<float>(expected({1, 3}, 1)));
}

TEST_CASE("objects: one map with a defect decides, though the mean of the views would not") {
  const Tensor maps = Tensor::zeros({4, 10, 10});
  for (int64_t i = 0; i < 3; ++i) maps.data<float>()[i] = 1.0f;  // a defect in the first view of "a"
  for (int64_t i = 0; i < 2; ++i) maps.data<float>()[200 + i * 100] = 1.0f;
  const ObjectScores objects =
      object_scores({view_of("a"), view_of("a"), view_of("b"), view_of("b")}, maps, 0.02);
  CHECK(objects.scores[0] == doctest::Approx(3.0 / 4));  // the means of the views' own two: 1, 0
  CHECK(objects.scores[1] == doctest::Approx(2.0 / 4));  // 1/2, 1/2
}

TEST_CASE("objects: metrics are those of the scores and labels, unknown where all are alike") {
  ObjectScores objects;
  objects.names = {"a", "b", "c", "d"}, objects.scores = {0.1f, 0.4f, 0.35f, 0.8f},
  objects.labels = {0, 0, 1, 1};
  const RankingMetrics metrics = object_metrics(objects);
  CHECK(metrics.auroc == doctest::Approx(0.75));
  CHECK(metrics.ap == doctest::Approx(0.5 * 1.0 + 0.5 * 2.0 / 3.0));
  CHECK(metrics.f1max == doctest::Approx(0.8).epsilon(1e-6));
  objects.labels = {1, 1, 1, 1};
  CHECK(std::isnan(object_metrics(objects).auroc));
  CHECK(object_scores({Sample{}}, Tensor::zeros({1, 2, 2}), 0.01).empty());
}

TEST_CASE("objects: an evaluation has them beside its images, and so do table, JSON and CSV") {
  const TemporaryFolder folder;
  Category category{.name = "toy", .train = {}, .test = {}};
  Generator generator(1);
  for (int i = 0; i < 6; ++i) {  // three objects of two views; of the second, one view is anomalous
    Image image(60, 60, 3);
    for (uint8_t& pixel : image.pixels) pixel = static_cast<uint8_t>(generator.next_word());
    Sample sample = view_of(fmt::format("{}", i / 2), i == 3);
    sample.category = "toy", sample.defect = i == 3 ? "dent" : "good", sample.id = fmt::format("{}", i);
    sample.image = folder / (sample.id + ".png");
    save_png(sample.image, image);
    category.test.push_back(sample);
  }
  Image mask(60, 60, 1);
  *mask.at(30, 30) = 255, *mask.at(31, 30) = 255, *mask.at(30, 31) = 255, *mask.at(31, 31) = 255;
  save_png(folder / "mask.png", mask);
  category.test[3].mask = folder / "mask.png";
  const auto model = small_model();
  const CategoryResult result = evaluate(*model, category, 4);
  const ObjectScores expected = object_scores(category.test, result.maps, model->config().score_ratio);
  CHECK(result.objects.scores == expected.scores);
  CHECK(result.objects.labels == std::vector<uint8_t>{0, 1, 0});
  const RankingMetrics metrics = ranking_metrics(expected.scores, expected.labels);
  const MetricsTable table = paper_table({result});
  REQUIRE(table.columns.size() == 10);
  CHECK(table.columns[7].key == "object_auroc");
  CHECK(table.rows[0].values[7] == metrics.auroc);
  CHECK(table.rows[0].values[8] == metrics.ap);
  CHECK(table.rows[0].values[9] == metrics.f1max);
  CHECK(to_json(table)["categories"]["toy"]["object_ap"] == rounded_metric(metrics.ap));
  CHECK(contains(to_csv(table), "aupro,object_auroc,object_ap,object_f1max\n"));
  CHECK(contains(to_text(table), "O-F1max"));
  for (Sample& sample : category.test) sample.object.clear();
  CHECK(paper_table({evaluate(*model, category, 4)}).columns.size() == 7);
}

TEST_CASE("objects: the scores of an RGB and an infrared image add up; each sensor has its own metrics") {
  const TemporaryFolder folder;
  Category category{.name = "cube", .train = {}, .test = {}};
  Generator generator(2);
  Image mask(60, 60, 1);
  for (int64_t y = 20; y < 40; ++y) std::fill_n(mask.at(20, y), 20, uint8_t{255});
  save_png(folder / "mask.png", mask);
  for (int i = 0; i < 8; ++i) {  // four objects; of "2" both images are anomalous, of "3" the infrared one
    const bool infrared = i % 2 == 1, anomalous = i / 2 == 2 || i == 7;
    Image image(60, 60, 3);
    for (uint8_t& pixel : image.pixels) pixel = static_cast<uint8_t>(generator.next_word());
    Sample sample{.category = "cube", .defect = anomalous ? "hole" : "good", .id = fmt::format("{}", i)};
    sample.image = folder / (sample.id + ".png"), sample.anomalous = anomalous, sample.infrared = infrared;
    sample.object = fmt::format("{}", i / 2), sample.grouping = Grouping::rgb_and_infrared;
    if (anomalous) sample.mask = folder / "mask.png";
    save_png(sample.image, image);
    category.test.push_back(sample);
  }
  const CategoryResult result = evaluate(*small_model(), category, 4);
  CHECK(result.objects.labels == std::vector<uint8_t>{0, 0, 1, 1});
  for (size_t i = 0; i < 4; ++i)
    CHECK(result.objects.scores[i] == doctest::Approx(result.scores[2 * i] + result.scores[2 * i + 1]));
  const auto of_sensor = [&](int64_t first) {
    std::vector<Tensor> maps, masks;
    std::vector<float> scores;
    std::vector<uint8_t> labels;
    for (int64_t i = first; i < 8; i += 2) {
      maps.push_back(result.maps.slice(0, i, i + 1));
      masks.push_back(result.masks.slice(0, i, i + 1));
      scores.push_back(result.scores[static_cast<size_t>(i)]);
      labels.push_back(category.test[static_cast<size_t>(i)].anomalous);
    }
    return evaluate_paper(cat(maps, 0), cat(masks, 0), labels, scores);
  };
  const Metrics rgb = of_sensor(0), infrared = of_sensor(1);
  REQUIRE(result.infrared);
  CHECK(result.metrics.image_auroc == rgb.image_auroc);
  CHECK(result.metrics.pixel_ap == rgb.pixel_ap);
  CHECK(result.infrared->pixel_ap == infrared.pixel_ap);
  CHECK(result.infrared->aupro == infrared.aupro);
  const MetricsTable table = paper_table({result});
  REQUIRE(table.columns.size() == 14);
  CHECK(table.rows[0].values[10] == infrared.pixel_auroc);
  CHECK(table.rows[0].values[13] == infrared.aupro);
  CHECK(contains(to_text(table), "IR-AUPRO"));
}

}  // namespace dinomaly
