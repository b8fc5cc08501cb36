// The seven numbers papers report.
#pragma once

#include <cstdint>
#include <span>

#include "dinomaly/base/framework.h"
#include "dinomaly/evaluation/ranking.h"
#include "tensor/tensor.h"

namespace dinomaly {

struct Metrics {
  double image_auroc = 0, image_ap = 0, image_f1max = 0;
  double pixel_auroc = 0, pixel_ap = 0, pixel_f1max = 0;
  double aupro = 0;
};

// The published Dinomaly code's evaluation of one category: image metrics of `scores` (N) against `labels`
// (N), pixel metrics of maps (N, H, W) f32 against masks (N, H, W) u8, and aupro_paper. Non-zero is
// anomalous. On the CPU. Throws Error if shapes or dtypes do not fit, InputError if a value is not finite or
// a class is absent.
Metrics evaluate_paper(const Tensor& maps, const Tensor& masks, std::span<const uint8_t> labels,
                       std::span<const float> scores);

}  // namespace dinomaly
