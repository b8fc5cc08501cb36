// A training step that a GPU does again without being asked for each of its kernels.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>

#include "dinomaly/base/framework.h"
#include "dinomaly/model/model.h"
#include "tensor/backend.h"
#include "tensor/random.h"

namespace dinomaly {

// What a step computes from, besides the model and the optimizer.
struct StepInputs {
  Features batch;
  Tensor mined_points;  // (1) i64: k of the loss
};

// Runs the same step again and again. The first two times it calls the step's function. On a GPU the third
// call is recorded (tensor/kernels.h), and from then on the recording is replayed: the inputs are copied to
// where it reads them, and the results stand where it wrote them the first time. A recording keeps all memory of a step to
// itself: where there is too little, a line says so, and steps are not recorded.
class RecordedStep {
 public:
  // enabled = false: the function is called every time, on a GPU too.
  RecordedStep(Device device, bool enabled);

  // Runs `step` on `inputs`. It draws its random numbers from `generator`, as many each time. While a profiler runs
  // (tensor/profiler.h) the function is called, so that its kernels are seen; later steps are recorded again.
  void run(StepInputs inputs, Generator& generator, const std::function<void(const StepInputs&)>& step);

  // Forgets the recording, for when tensors that the step uses have moved; it is made again after two steps.
  void reset();

 private:
  void place(StepInputs inputs);
  void record_step(Generator& generator, const std::function<void(const StepInputs&)>& step);
  void replay(Generator& generator);

  Device device_;
  bool can_record_;
  StepInputs inputs_;                               // of a recording: where it reads them
  int64_t steps_ = 0;                               // since the construction or reset()
  uint64_t recorded_at_ = 0, blocks_per_step_ = 0;  // of random numbers
  std::unique_ptr<Recording> recording_;            // last: it uses the memory of all the others
};

}  // namespace dinomaly
