// The numbers of training steps, read from a GPU for many steps at once.
#pragma once

#include <cstdint>
#include <vector>

#include "dinomaly/base/framework.h"
#include "tensor/tensor.h"

namespace dinomaly {

struct TrainingStep {
  int64_t iteration = 0;  // from 0
  double loss = 0, learning_rate = 0;
  double grad_norm = 0;  // before clipping
  bool skipped = false;  // its gradients were not finite, and no weight has changed (Config::skip_not_finite)
};

// Throws InputError naming the iteration where the loss or the norm is not finite: training has diverged.
void check_finite(const TrainingStep& step);

// A host that read the loss after each step would wait for the GPU each time. So loss and norm are copied
// aside on the device, and the host reads 16 steps at once (on a CPU, each).
class StepNumbers {
 public:
  // may_skip: steps whose gradients are not finite are marked as skipped.
  StepNumbers(Device device, bool may_skip);

  // loss and grad_norm: one number each, on the device. They may change as soon as this returns.
  void add(int64_t iteration, double learning_rate, const Tensor& loss, const Tensor& grad_norm);
  // The steps since the last call, in order; on a GPU possibly none, unless `all` are asked for. Each is finite or
  // was skipped, or InputError is thrown.
  std::vector<TrainingStep> take(bool all);

 private:
  bool is_full() const { return static_cast<int64_t>(waiting_.size()) == numbers_.size(0); }
  void read();

  bool may_skip_;
  Tensor numbers_;                                // (steps, 2) of f64: loss and norm of `waiting_`
  std::vector<TrainingStep> waiting_, finished_;  // without their numbers, and with them
};

}  // namespace dinomaly
