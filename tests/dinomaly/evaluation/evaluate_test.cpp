// SPEC "Evaluation": per category first, then the mean; masks as the maps see them.
#include "dinomaly/evaluation/evaluate.h"

#include <doctest/doctest.h>
#include <malloc.h>

#include "dinomaly/base/framework.h"
#include "dinomaly/data/masks.h"
#include "dinomaly/data/mvtec.h"
#include "dinomaly/report/results.h"
#include "dinomaly/synthetic/procedural.h"
#include "tests/dinomaly/small_model.h"
#include "tests/support.h"

namespace dinomaly {

TEST_CASE("evaluate: maps, scores and labels of one category go into its seven numbers") {
  const TemporaryFolder folder;
  ProceduralOptions options;
  options.size = 64, options.train = 1, options.good = 3, options.per_defect = 1,
  options.categories = {"wood"};
  make_dataset(folder / "data", options);
  const Category category = read_mvtec(folder / "data").categories.at(0);
  const auto model = small_model();
  const CategoryResult result = evaluate(*model, category, 4);
  CHECK(result.category == "wood");
  CHECK(result.scores.size() == category.test.size());
  CHECK(result.maps.shape() == Shape{static_cast<int64_t>(category.test.size()), 64, 64});

  // The same numbers from the parts: one image at a time.
  const Tensor masks = Tensor::empty({static_cast<int64_t>(category.test.size()), 64, 64}, Dtype::u8);
  std::vector<uint8_t> labels;
  for (size_t i = 0; i < category.test.size(); ++i) {
    masks.select(0, static_cast<int64_t>(i))
        .copy_from(load_sample_mask(category.test[i], 64, 64, model->config().image, 64));
    labels.push_back(category.test[i].anomalous);
  }
  const Metrics expected = evaluate_paper(result.maps, masks, labels, result.scores);
  CHECK(result.metrics.image_auroc == expected.image_auroc);
  CHECK(result.metrics.pixel_ap == expected.pixel_ap);
  CHECK(result.metrics.aupro == expected.aupro);
  const CategoryResult one_by_one = evaluate(*model, category, 1);
  for (size_t i = 0; i < result.scores.size(); ++i) {
    CHECK(one_by_one.scores[i] == doctest::Approx(result.scores[i]).epsilon(1e-5));
  }
  Category good_only = category;
  std::erase_if(good_only.test, [](const Sample& sample) { return sample.anomalous; });
  CHECK(input_error([&] { evaluate(*model, good_only, 4); }) != "");
}

TEST_CASE("evaluate: a model in training is judged without dropout and stays in training") {
  const TemporaryFolder folder;
  ProceduralOptions options;
  options.size = 64, options.train = 1, options.good = 1, options.per_defect = 1;
  options.categories = {"wood"};
  make_dataset(folder / "data", options);
  const Category category = read_mvtec(folder / "data").categories.at(0);
  const auto model = small_model();
  REQUIRE(model->config().dropout > 0);
  model->train();
  const std::vector<float> scores = evaluate(*model, category, 4).scores;
  CHECK(evaluate(*model, category, 4).scores == scores);
  CHECK(model->training());
  model->eval();
  CHECK(evaluate(*model, category, 4).scores == scores);
}

TEST_CASE("evaluate: memory grows by maps and masks, not by images") {
  const TemporaryFolder folder;
  make_dataset(folder / "data",
               {.size = 64, .train = 1, .good = 30, .per_defect = 2, .categories = {"wood"}});
  const Category category = read_mvtec(folder / "data").categories.at(0);
  const auto model = small_model(224);
  const auto in_use = [] {
    const struct mallinfo2 heap = mallinfo2();
    return static_cast<int64_t>(heap.uordblks + heap.hblkhd);
  };
  evaluate(*model, category, 4);  // what is allocated once
  const int64_t before = in_use();
  const CategoryResult result = evaluate(*model, category, 4);
  const int64_t images = static_cast<int64_t>(category.test.size()), map = 5 * 64 * 64, crop = 224 * 224 * 3;
  CHECK(result.maps.size(0) == images);
  const int64_t bytes_an_image = (in_use() - before) / images;
  CHECK(bytes_an_image < map + crop / 4);
}

TEST_CASE("evaluate: the mean over categories weighs each alike") {
  CategoryResult a, b;
  a.metrics.image_auroc = 1, b.metrics.image_auroc = 0.5;
  a.metrics.aupro = 0.25, b.metrics.aupro = 0.75;
  a.scores.resize(100), b.scores.resize(1);
  const Metrics mean = mean_metrics({a, b});
  CHECK(mean.image_auroc == 0.75);
  CHECK(mean.aupro == 0.5);
}

}  // namespace dinomaly
