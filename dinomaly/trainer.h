// The paper's algorithm: reconstruct the frozen encoder's features of normal pictures.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "dinomaly/data/sampler.h"
#include "dinomaly/feature_store.h"
#include "dinomaly/model.h"
#include "nn/optim/optimizer.h"

namespace dinomaly {

struct TrainingStep {
  int64_t iteration = 0;  // from 0
  double loss = 0, learning_rate = 0;
  double grad_norm = 0;  // before clipping
};

// Trains `model` by its config. `model` and `features` must outlive it.
class Trainer {
 public:
  // Throws InputError where a batch is larger than the data.
  Trainer(Dinomaly& model, const FeatureStore& features);

  int64_t iteration() const { return iteration_; }  // the next one
  bool done() const { return iteration_ >= model_.config().iterations; }
  TrainingStep step();

  // All that the coming steps depend on: the trained weights, the optimizer's state, the order of the data,
  // the generators, the iteration. The tensors share the trainer's memory.
  NamedTensors state();
  // Continues bit for bit (on the same machine with as many threads) from what state() returned for the same
  // config and data. Throws InputError naming `source` where something is missing or does not fit.
  void load_state(const std::map<std::string, Tensor>& state, const std::string& source);

 private:
  Dinomaly& model_;
  const FeatureStore& features_;
  ShuffledSampler sampler_;
  Generator dropout_;
  std::vector<Variable> parameters_;
  StableAdamW optimizer_;
  WarmCosineSchedule learning_rate_;
  int64_t iteration_ = 0;
};

}  // namespace dinomaly
