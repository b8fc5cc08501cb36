#include "dinomaly/evaluation/evaluate_official.h"

#include <algorithm>
#include <limits>
#include <span>
#include <string>

#include "dinomaly/data/masks.h"
#include "dinomaly/evaluation/ranking.h"
#include "dinomaly/image/image.h"
#include "dinomaly/image/tiff_map.h"

namespace dinomaly {

void OfficialEvaluation::add(const Sample& sample, const Tensor& map) {
  check(map.rank() == 2, "official evaluation: a map of {}", map.shape());
  const int64_t height = map.size(0), width = map.size(1);
  const std::string why = roi_.misfit(width, height);
  check_input(why.empty(), "{}: {}", sample.image.string(), why);
  const Image mask = mask_or_black(sample, width, height);
  if (shows_defect_elsewhere(sample, roi_, mask)) {
    ++left_out_;
    return;
  }
  const std::vector<uint8_t> counted =
      roi_.on() ? roi_.inside({0, 0, width, height}) : std::vector<uint8_t>();
  const Tensor dense = map.contiguous();
  const std::span<const float> values(dense.data<float>(), static_cast<size_t>(dense.numel()));
  masks_known_ = masks_known_ && (sample.mask || !sample.anomalous);
  if (masks_known_) aupro_.add(values, mask.pixels, height, width, counted);
  std::vector<float> kept(values.begin(), values.end());
  keep_counted(kept, counted);
  scores_.push_back(*std::max_element(kept.begin(), kept.end()));
  labels_.push_back(sample.anomalous);
}

OfficialMetrics OfficialEvaluation::compute() {
  const double auroc = roc_auc(scores_, labels_);
  return {masks_known_ ? aupro_.compute() : std::numeric_limits<double>::quiet_NaN(), auroc};
}

std::filesystem::path map_path(const std::filesystem::path& maps, const Sample& sample) {
  return maps / sample.category / "test" / sample.defect / (sample.id + ".tiff");
}

OfficialMetrics evaluate_official(const std::filesystem::path& maps, const Category& category,
                                  const RegionOfInterest& roi) {
  OfficialEvaluation evaluation(roi);
  for (const Sample& sample : category.test) evaluation.add(sample, load_tiff_map(map_path(maps, sample)));
  return evaluation.compute();
}

}  // namespace dinomaly
