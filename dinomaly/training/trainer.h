// The paper's algorithm: reconstruct the frozen encoder's features of normal images.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "dinomaly/base/framework.h"
#include "dinomaly/model/model.h"
#include "dinomaly/training/feature_store.h"
#include "dinomaly/training/sampler.h"
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
  // record = false: every step is asked for kernel by kernel on a GPU, too.
  Trainer(Dinomaly& model, FeatureStore& features, bool record = true);

  int64_t iteration() const { return iteration_; }  // the next one
  bool done() const { return iteration_ >= model_.config().iterations; }
  // One step, and its numbers: on a GPU the host waits for them.
  TrainingStep step();
  // The same without waiting. On a GPU steps become one recording (tensor/kernels.h) after the first few.
  void advance();
  // What advance() has done and nobody has been told yet, in order. On a GPU numbers are read for many steps
  // at once: as long as they are few, and not `all` are wanted, none are returned.
  std::vector<TrainingStep> finished(bool all);

  // All that the coming steps depend on: the trained weights, the optimizer's state, the order of the data,
  // the generators, the iteration. The tensors share the trainer's memory.
  NamedTensors state();
  // Continues bit for bit (on the same machine with as many threads) from what state() returned for the same
  // config and data. Throws InputError naming `source` where something is missing or does not fit.
  void load_state(const std::map<std::string, Tensor>& state, const std::string& source);

 private:
  // What a step computes from, in memory that stays where it is.
  struct Inputs {
    Features batch;
    Tensor mined_points;  // (1) i64
  };

  // Tells the features in which order they will be asked for.
  void announce_order();
  void load_inputs();
  void compute();
  void replay();
  void read_numbers();

  Dinomaly& model_;
  FeatureStore& features_;
  ShuffledSampler sampler_;
  Generator dropout_;
  std::vector<Variable> parameters_;
  StableAdamW optimizer_;
  WarmCosineSchedule learning_rate_;
  int64_t iteration_ = 0;

  Device device_;
  bool may_record_;
  Inputs inputs_;
  Tensor loss_, norm_and_clip_;                   // of the last step
  Tensor numbers_;                                // (steps, 2) of f64: loss and norm of `waiting_`
  std::vector<TrainingStep> waiting_, finished_;  // without their numbers, and with them
  int64_t steps_here_ = 0;                        // since the construction, or the loading of a state
  uint64_t recorded_at_ = 0, blocks_a_step_ = 0;  // of random numbers
  std::unique_ptr<Recording> recording_;          // last: it uses the memory of all the others
};

}  // namespace dinomaly
