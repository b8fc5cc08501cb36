// A trained model against the labelled test images of one category.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "dinomaly/data/mvtec.h"
#include "dinomaly/evaluation/metrics.h"
#include "dinomaly/model/model.h"

namespace dinomaly {

struct CategoryResult {
  std::string category;
  Metrics metrics;            // the `paper` mode of evaluation
  std::vector<float> scores;  // an image each
  Tensor maps;                // (N, S, S) f32: blurred, at the config's map_size
  Tensor masks;               // (N, S, S) u8 of 0 and 1; undefined where an anomalous image has no mask
};

// The model runs without dropout, whatever its mode. Where an anomalous image has no mask the metrics of pixels are NaN.
// `progress` is called with the number of images of each batch done. Throws InputError where the test
// images hold one class only.
CategoryResult evaluate(const Dinomaly& model, const Category& category, int64_t batch,
                        const std::function<void(int64_t)>& progress = {});

}  // namespace dinomaly
