#include "dinomaly/evaluation/evaluate_official.h"

#include <algorithm>
#include <limits>

#include "dinomaly/data/masks.h"
#include "dinomaly/evaluation/ranking.h"
#include "dinomaly/image/image.h"
#include "dinomaly/image/tiff_map.h"

namespace dinomaly {

void OfficialEvaluation::add(const Sample& sample, const Tensor& map) {
  check(map.rank() == 2, "official evaluation: a map of {}", map.shape());
  const Tensor dense = map.contiguous();
  const size_t pixels = static_cast<size_t>(dense.numel());
  const float* values = dense.data<float>();
  std::vector<uint8_t> mask(pixels, 0);
  if (sample.mask) mask = load_sample_mask_image(sample, map.size(1), map.size(0)).pixels;
  masks_known_ = masks_known_ && (sample.mask || !sample.anomalous);
  if (masks_known_) aupro_.add({values, pixels}, mask, map.size(0), map.size(1));
  scores_.push_back(*std::max_element(values, values + pixels));
  labels_.push_back(sample.anomalous);
}

OfficialMetrics OfficialEvaluation::compute() {
  const double auroc = roc_auc(scores_, labels_);
  return {masks_known_ ? aupro_.compute() : std::numeric_limits<double>::quiet_NaN(), auroc};
}

std::filesystem::path map_path(const std::filesystem::path& maps, const Sample& sample) {
  return maps / sample.category / "test" / sample.defect / (sample.id + ".tiff");
}

OfficialMetrics evaluate_official(const std::filesystem::path& maps, const Category& category) {
  OfficialEvaluation evaluation;
  for (const Sample& sample : category.test) evaluation.add(sample, load_tiff_map(map_path(maps, sample)));
  return evaluation.compute();
}

}  // namespace dinomaly
