// The paper's algorithm: reconstruct the frozen encoder's features of normal images.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "dinomaly/base/framework.h"
#include "dinomaly/model/loss.h"
#include "dinomaly/model/model.h"
#include "dinomaly/training/draws.h"
#include "dinomaly/training/feature_exchange.h"
#include "dinomaly/training/feature_store.h"
#include "dinomaly/training/gradient_exchange.h"
#include "dinomaly/training/recorded_step.h"
#include "dinomaly/training/sampler.h"
#include "dinomaly/training/step_numbers.h"
#include "nn/optim/optimizer.h"
#include "tensor/communicator.h"

namespace dinomaly {

// The optimizer that the model's config describes: bottleneck.0.* in a group of its own.
StableAdamW make_optimizer(const Dinomaly& model);

// Throws InputError naming the iteration unless the model, trained so far, reconstructs the batch with a finite loss:
// what the last step did to the weights, no loss has shown yet.
void check_reconstructs(const Dinomaly& model, const Features& batch, int64_t iteration);

// Trains `model` by its config. `model` and `features` must outlive it.
class Trainer {
 public:
  // Throws InputError where a batch is larger than the data.
  // record = false, or several processes: no step is recorded on a GPU either (recorded_step.h). Puts the model into training mode.
  // Of several processes each takes its share of every batch (loss.h), and all take the same steps as one process would, up
  // to the rounding of sums: the threshold of the mining and the norm of the clipping are the whole batch's, dropout
  // draws by an image's place in it. Throws InputError where there are more processes than images in a batch, and as
  // Communicator::prepare().
  Trainer(Dinomaly& model, FeatureStore& features, bool record = true,
          Communicator& processes = communicator());

  int64_t iteration() const { return iteration_; }  // the next one
  bool done() const { return iteration_ >= model_.config().iterations; }
  // One step, and its numbers: on a GPU the host waits for them.
  TrainingStep step();
  // The same without waiting.
  void advance();
  // The steps since the last call, in order; on a GPU possibly none, unless `all` are
  // asked for (step_numbers.h).
  std::vector<TrainingStep> finished(bool all) { return numbers_.take(all); }

  // Before the first step: finds the model's feature whitening, if it has one, from all images.
  void fit_whitening();

  // Encodes whatever is not yet, for a cache.
  void complete_features() { shared_features_.complete(); }

  // To be called by all processes before anything is saved. Throws InputError naming the iteration and the tensor unless
  // weights and optimizer state are finite, and the weights still reconstruct the last batch with a finite loss.
  // Changes nothing, and costs a forward pass where there was a step since the last call.
  void check_sound();

  // Of several processes: how long this one has waited for gradients after its backward passes.
  double seconds_waited_for_gradients() const { return exchange_.seconds_waited(); }

  // All that the coming steps depend on: the trained weights, the optimizer's state, the order of the data,
  // the generators, the iteration. The tensors share the trainer's memory.
  NamedTensors state();
  // Continues bit for bit (on the same machine) from what state() returned for the same
  // config and data. Throws InputError naming `source` where something is missing or does not fit.
  void load_state(const std::map<std::string, Tensor>& state, const std::string& source);

 private:
  void compute(const StepInputs& inputs);
  void expect_coming();
  // The images that this process will need for the rest of the epoch, in their order.
  std::vector<int64_t> coming() const;

  Dinomaly& model_;
  FeatureStore& features_;
  Communicator& processes_;
  FeatureExchange shared_features_;
  BatchShare share_;
  Draws draws_;
  ShuffledSampler sampler_;
  Generator dropout_;
  std::vector<Variable> parameters_;
  GradientExchange exchange_;
  StableAdamW optimizer_;
  WarmCosineSchedule learning_rate_;
  int64_t iteration_ = 0;
  int64_t sound_at_ = -1;            // the iteration of the last check_sound()
  std::vector<int64_t> last_batch_;  // of all processes; empty before the first step

  Tensor loss_, norm_and_clip_;  // of the last step
  RecordedStep step_;            // after all whose memory a recording uses
  StepNumbers numbers_;
};

}  // namespace dinomaly
