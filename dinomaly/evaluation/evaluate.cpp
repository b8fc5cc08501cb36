#include "dinomaly/evaluation/evaluate.h"

#include <limits>

#include "dinomaly/data/loader.h"
#include "dinomaly/model/anomaly_map.h"

namespace dinomaly {

namespace {

// Image metrics alone: nothing says which pixels are anomalous.
Metrics without_masks(const std::vector<float>& scores, const std::vector<uint8_t>& labels) {
  constexpr double unknown = std::numeric_limits<double>::quiet_NaN();
  const RankingMetrics image = ranking_metrics(scores, labels);
  return {image.auroc, image.ap, image.f1max, unknown, unknown, unknown, unknown};
}

}  // namespace

CategoryResult evaluate(const Dinomaly& model, const Category& category, int64_t batch,
                        const std::function<void(int64_t)>& progress) {
  NoGrad no_recording;
  const Config& config = model.config();
  const int64_t count = static_cast<int64_t>(category.test.size()), side = config.map_size;
  CategoryResult result{category.name, {}, {}, Tensor::empty({count, side, side}), {}};
  ImageLoader loader(category.test, config.image, batch);
  for (int64_t begin = 0; !loader.done();) {
    const Tensor images = loader.next();
    const Reconstruction reconstruction = model.reconstruct(model.encode(images));
    const AnomalyMaps maps = anomaly_maps(reconstruction, images.size(2), images.size(3), config);
    result.maps.slice(0, begin, begin + images.size(0)).copy_from(maps.blurred);
    for (float score : maps.score.to_vector<float>()) result.scores.push_back(score);
    begin += images.size(0);
    if (progress) progress(images.size(0));
  }
  std::vector<uint8_t> labels;
  bool masks_known = true;
  for (const Sample& sample : category.test) {
    labels.push_back(sample.anomalous);
    masks_known = masks_known && (!sample.anomalous || sample.mask);
  }
  if (!masks_known) {
    result.metrics = without_masks(result.scores, labels);
    return result;
  }
  result.masks = Tensor::empty({count, side, side}, Dtype::u8);
  for (int64_t i = 0; i < count; ++i) {
    result.masks.select(0, i).copy_from(
        load_sample_mask(category.test[static_cast<size_t>(i)], config.image, side));
  }
  result.metrics = evaluate_paper(result.maps, result.masks, labels, result.scores);
  return result;
}

}  // namespace dinomaly
