#include "dinomaly/evaluate.h"

#include "dinomaly/anomaly_map.h"
#include "dinomaly/data/loader.h"

namespace dinomaly {

CategoryResult evaluate(Dinomaly& model, const Category& category, int64_t batch) {
  NoGrad no_recording;
  model.eval();
  const Config& config = model.config();
  const int64_t count = static_cast<int64_t>(category.test.size()), side = config.map_size;
  CategoryResult result{category.name, {}, {}, Tensor::empty({count, side, side})};
  Generator unused;
  ImageLoader loader(category.test, config.image, batch);
  for (int64_t begin = 0; !loader.done();) {
    const Tensor images = loader.next();
    const Reconstruction reconstruction = model.reconstruct(model.encode(images), unused);
    const AnomalyMaps maps = anomaly_maps(reconstruction, images.size(2), images.size(3), config);
    result.maps.slice(0, begin, begin + images.size(0)).copy_from(maps.blurred);
    for (float score : maps.score.to_vector<float>()) result.scores.push_back(score);
    begin += images.size(0);
  }
  const Tensor masks = Tensor::empty({count, side, side}, Dtype::u8);
  std::vector<uint8_t> labels;
  for (int64_t i = 0; i < count; ++i) {
    const Sample& sample = category.test[static_cast<size_t>(i)];
    masks.select(0, i).copy_from(load_sample_mask(sample, config.image, side));
    labels.push_back(sample.anomalous);
  }
  result.metrics = evaluate_paper(result.maps, masks, labels, result.scores);
  return result;
}

}  // namespace dinomaly
