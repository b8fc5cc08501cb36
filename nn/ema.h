// An exponential moving average of a module's parameters: the teacher of self-supervised training (Tarvainen and
// Valpola 2017).
#pragma once

#include <map>
#include <string>

#include "nn/module.h"

namespace nabla {

// Averages are kept in f32 (f64 of f64 parameters): a bf16 average would lose every step that is smaller than its
// last bit.
class ExponentialMovingAverage {
 public:
  // Begins with the module's values. decay in [0, 1).
  ExponentialMovingAverage(const Module& module, double decay);

  // average = decay * average + (1 - decay) * value. The module has the same parameters as at the beginning; throws
  // Error otherwise.
  void update(const Module& module);
  // Rounds the averages into the parameters of a module of the same structure.
  void copy_to(const Module& module) const;

  // The averages under the parameters' names; they share their memory.
  const NamedTensors& state() const { return averages_; }
  // Continues from what state() returned (copied). Throws InputError naming `source` and the tensor that is
  // missing or does not fit, and then changes nothing.
  void load_state(const std::map<std::string, Tensor>& state, const std::string& source);

 private:
  double decay_;
  NamedTensors averages_;
};

}  // namespace nabla
