#include "dinomaly/evaluation/evaluate.h"

#include <algorithm>
#include <limits>
#include <utility>

#include "dinomaly/data/masks.h"
#include "tensor/ops.h"

namespace dinomaly {

namespace {

// Image metrics alone: nothing says which pixels are anomalous.
Metrics without_masks(const std::vector<float>& scores, const std::vector<uint8_t>& labels) {
  constexpr double unknown = std::numeric_limits<double>::quiet_NaN();
  const RankingMetrics image = ranking_metrics(scores, labels);
  return {image.auroc, image.ap, image.f1max, unknown, unknown, unknown, unknown};
}

// Of the images of one sensor. All are NaN where none of them is anomalous, or all are.
Metrics metrics_of(const CategoryResult& result, const std::vector<Sample>& samples, bool infrared) {
  std::vector<Tensor> maps, masks;
  std::vector<float> scores;
  std::vector<uint8_t> labels;
  for (size_t i = 0; i < samples.size(); ++i) {
    if (samples[i].infrared != infrared) continue;
    const auto row = static_cast<int64_t>(i);
    maps.push_back(result.maps.slice(0, row, row + 1));
    if (result.masks.defined()) masks.push_back(result.masks.slice(0, row, row + 1));
    scores.push_back(result.scores[i]);
    labels.push_back(samples[i].anomalous);
  }
  const auto anomalous = static_cast<size_t>(std::count(labels.begin(), labels.end(), uint8_t{1}));
  constexpr double unknown = std::numeric_limits<double>::quiet_NaN();
  if (anomalous == 0 || anomalous == labels.size())
    return {unknown, unknown, unknown, unknown, unknown, unknown, unknown};
  return masks.empty() ? without_masks(scores, labels)
                       : evaluate_paper(cat(maps, 0), cat(masks, 0), labels, scores);
}

}  // namespace

PaperEvaluation::PaperEvaluation(const Category& category, const Config& config)
    : category_(category), config_(config.image), score_ratio_(config.score_ratio) {
  const int64_t count = static_cast<int64_t>(category.test.size()), side = config.map_size;
  result_.category = category.name;
  result_.maps = Tensor::empty({count, side, side});
  const bool masks_known = std::all_of(category.test.begin(), category.test.end(),
                                       [](const Sample& sample) { return !sample.anomalous || sample.mask; });
  if (masks_known) result_.masks = Tensor::empty({count, side, side}, Dtype::u8);
}

void PaperEvaluation::add(const InputImage& image, const Prediction& prediction) {
  const size_t index = result_.scores.size();
  const auto row = static_cast<int64_t>(index);
  result_.scores.push_back(static_cast<float>(prediction.score));
  result_.maps.select(0, row).copy_from(prediction.counted_map());
  if (prediction.roi().on()) {
    counted_.push_back(prediction.counted_values().reshape({1, 1, -1}));
    result_.masks = {};
  }
  if (!result_.masks.defined()) return;
  result_.masks.select(0, row).copy_from(
      load_sample_mask(category_.test.at(index), image.width, image.height, config_, result_.maps.size(1)));
}

CategoryResult PaperEvaluation::compute() {
  check(result_.scores.size() == category_.test.size(), "paper evaluation: {} predictions of {} images",
        result_.scores.size(), category_.test.size());
  std::vector<uint8_t> labels;
  bool pairs = false;
  for (const Sample& sample : category_.test) labels.push_back(sample.anomalous), pairs |= sample.infrared;
  if (pairs) {
    result_.metrics = metrics_of(result_, category_.test, false);
    result_.infrared = metrics_of(result_, category_.test, true);
  } else {
    result_.metrics = result_.masks.defined()
                          ? evaluate_paper(result_.maps, result_.masks, labels, result_.scores)
                          : without_masks(result_.scores, labels);
  }
  result_.objects =
      object_scores(category_.test, counted_.empty() ? result_.maps : cat(counted_, 0), score_ratio_);
  return std::move(result_);
}

AllMetrics all_metrics(const CategoryResult& result) {
  constexpr double unknown = std::numeric_limits<double>::quiet_NaN();
  return {result.metrics, object_metrics(result.objects),
          result.infrared.value_or(Metrics{unknown, unknown, unknown, unknown, unknown, unknown, unknown})};
}

CategoryResult evaluate(const Predictor& predictor, const Category& category, std::vector<SampleSink> also) {
  PaperEvaluation evaluation(category, predictor.config());
  also.push_back([&](const Sample&, const InputImage& image, const Prediction& prediction) {
    evaluation.add(image, prediction);
  });
  for_each_prediction(predictor, category.test, also);
  return evaluation.compute();
}

CategoryResult evaluate(const Dinomaly& model, const Category& category, int64_t batch) {
  return evaluate(Predictor(model, {.area = Area::crop}, batch), category);
}

}  // namespace dinomaly
