// The encoder's features of all training pictures, computed once: the encoder is frozen and sees no
// augmentation, so a training step needs the bottleneck and the decoder only.
#pragma once

#include <vector>

#include "dinomaly/data/mvtec.h"
#include "dinomaly/model.h"

namespace dinomaly {

class FeatureStore {
 public:
  // Runs the encoder over all samples, `batch` at a time, and keeps what Dinomaly::encode() returns, in the
  // model's dtype: per picture T D + groups h w D values.
  FeatureStore(const Dinomaly& model, const std::vector<Sample>& samples, int64_t batch);

  int64_t size() const { return all_.bottleneck_input.defined() ? all_.batch() : 0; }
  size_t bytes() const;
  // Those of the given pictures, in that order.
  Features gather(const std::vector<int64_t>& indices) const;

 private:
  Features all_;
};

}  // namespace dinomaly
