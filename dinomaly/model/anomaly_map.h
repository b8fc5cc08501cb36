// From the reconstruction to an anomaly map and one score per image.
#pragma once

#include "dinomaly/model/config.h"
#include "dinomaly/model/model.h"

namespace dinomaly {

struct AnomalyMaps {
  Tensor map;      // (B, H, W): the mean over groups of 1 - cos, bilinear to the input's size (align_corners)
  Tensor blurred;  // (B, S, S): the map at map_size, smoothed by a Gaussian; what `paper` evaluates
  Tensor score;    // (B): the mean of the int(score_ratio S S) largest blurred values
};

// The smoothing's weights, f64: exp(-(dx^2 + dy^2) / (2 sigma^2)) divided by their sum: (1, 1, size, size).
Tensor gaussian_kernel(int64_t size, double sigma);

// blurred (B, S, S) -> (B): the mean of the int(ratio S S) largest values, of one at least.
Tensor anomaly_score(const Tensor& blurred, double ratio);

// height and width: the input's, in pixels. Never recorded.
AnomalyMaps anomaly_maps(const Reconstruction& reconstruction, int64_t height, int64_t width,
                         const Config& config);

}  // namespace dinomaly
