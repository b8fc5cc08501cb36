// A trained model against the labelled test pictures of one category.
#pragma once

#include <string>
#include <vector>

#include "dinomaly/data/mvtec.h"
#include "dinomaly/metrics/metrics.h"
#include "dinomaly/model.h"

namespace dinomaly {

struct CategoryResult {
  std::string category;
  Metrics metrics;            // the `paper` mode of evaluation
  std::vector<float> scores;  // a picture each
  Tensor maps;                // (N, S, S) f32: blurred, at the config's map_size
};

// Puts the model into eval mode. Throws InputError where the test pictures hold one class only.
CategoryResult evaluate(Dinomaly& model, const Category& category, int64_t batch);

}  // namespace dinomaly
