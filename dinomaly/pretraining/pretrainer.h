// The step of pretraining: a student learns from two views of each scene and from a teacher that is its own average.
#pragma once

#include <cstdint>
#include <map>
#include <string>

#include "dinomaly/base/framework.h"
#include "dinomaly/pretraining/crop_pairs.h"
#include "dinomaly/pretraining/pretrain_model.h"
#include "dinomaly/pretraining/pretrain_options.h"
#include "dinomaly/pretraining/scene.h"
#include "nn/ema.h"
#include "nn/optim/optimizer.h"

namespace dinomaly {

struct PretrainStep {
  double loss = 0;                              // the sum, weighted
  double contrast = 0, masked = 0, labels = 0;  // 0 where the objective has none
  double variance = 0, covariance = 0;          // of the penalty, before their weights
  double learning_rate = 0;
  double rank = 0;  // effective rank of the targets' mean: trace(C)^2 / trace(C^2) of their covariance C
  double render_seconds = 0, seconds = 0;  // for scenes and crops; in all
};

class Pretrainer {
 public:
  explicit Pretrainer(const PretrainOptions& options);

  int64_t step_count() const { return steps_; }
  // The next step. `progress`, in [0, 1), is the share of the run that is done: the learning rate follows it. Throws
  // InputError naming the step where loss or gradients are not finite.
  PretrainStep step(double progress);

  // Whose encoder is the result.
  const PretrainModel& teacher() const { return teacher_; }

  // All that the coming steps depend on. The tensors share memory with the pretrainer.
  NamedTensors state();
  // Continues, bit for bit on the same machine, from what state() returned for the same options. Throws InputError
  // naming `source` and what is missing or does not fit.
  void load_state(const std::map<std::string, Tensor>& state, const std::string& source);

 private:
  // What the teacher, which is shown all, knows of 2N crops with P patches each.
  struct Lesson {
    Tensor keys;      // (2N * P, 128) f32, for InfoNCE
    Tensor features;  // (2N * P, D) f32, which are predicted where they are hidden
  };
  Lesson teach(const Variable& crops) const;
  Variable loss_of(const CropPairs& batch, PretrainStep& numbers) const;

  PretrainOptions options_;
  Generator generator_;  // of the initial weights
  PretrainModel student_, teacher_;
  ExponentialMovingAverage average_;
  std::vector<Variable> parameters_;
  StableAdamW decayed_, plain_;  // matrices, whose weights decay, and the rest
  ScenePool pool_;
  int64_t steps_ = 0;
};

}  // namespace dinomaly
