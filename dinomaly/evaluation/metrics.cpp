#include "dinomaly/evaluation/metrics.h"

#include "dinomaly/evaluation/aupro.h"

namespace dinomaly {

Metrics evaluate_paper(const Tensor& maps, const Tensor& masks, std::span<const uint8_t> labels,
                       std::span<const float> scores) {
  check(maps.rank() == 3 && maps.shape() == masks.shape(),
        "evaluate: maps {} and masks {} are not both (N, H, W)", maps.shape(), masks.shape());
  check(maps.size(0) == static_cast<int64_t>(labels.size()) && labels.size() == scores.size(),
        "evaluate: {} maps, {} labels and {} scores", maps.size(0), labels.size(), scores.size());
  const Tensor map_data = maps.contiguous(), mask_data = masks.contiguous();
  const size_t pixels = static_cast<size_t>(maps.numel());
  const std::span<const float> map_values(map_data.data<float>(), pixels);
  const std::span<const uint8_t> mask_values(mask_data.data<uint8_t>(), pixels);

  const RankingMetrics image = ranking_metrics(scores, labels);
  const RankingMetrics pixel = ranking_metrics(map_values, mask_values);
  Metrics result{image.auroc, image.ap, image.f1max, pixel.auroc, pixel.ap, pixel.f1max, 0};
  result.aupro = aupro_paper(map_values, mask_values, maps.size(0), maps.size(1), maps.size(2));
  return result;
}

}  // namespace dinomaly
