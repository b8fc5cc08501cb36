#include "dinomaly/evaluate_official.h"

#include <algorithm>
#include <vector>

#include "dinomaly/data/image.h"
#include "dinomaly/data/tiff_map.h"
#include "dinomaly/metrics/aupro.h"
#include "dinomaly/metrics/ranking.h"

namespace dinomaly {

OfficialMetrics evaluate_official(const std::filesystem::path& maps, const Category& category) {
  OfficialAupro aupro;
  std::vector<float> scores;
  std::vector<uint8_t> labels;
  for (const Sample& sample : category.test) {
    const Tensor map = load_tiff_map(maps / category.name / "test" / sample.defect / (sample.id + ".tiff"));
    const size_t pixels = static_cast<size_t>(map.numel());
    std::vector<uint8_t> mask(pixels, 0);
    if (sample.mask) mask = load_mask(*sample.mask, map.size(1), map.size(0)).pixels;
    const float* values = map.data<float>();
    aupro.add({values, pixels}, mask, map.size(0), map.size(1));
    scores.push_back(*std::max_element(values, values + pixels));
    labels.push_back(sample.anomalous);
  }
  return {aupro.compute(), roc_auc(scores, labels)};
}

}  // namespace dinomaly
