#include "dinomaly/training/recorded_step.h"

#include <utility>

#include "dinomaly/base/framework.h"
#include "dinomaly/base/standard_error.h"
#include "tensor/error.h"
#include "tensor/profiler.h"

namespace dinomaly {

namespace {
// What is made at the first step (moments, workspaces) is there at the second.
constexpr int64_t steps_before_recording = 2;
}  // namespace

RecordedStep::RecordedStep(Device device, bool enabled)
    : device_(device), can_record_(enabled && !device.is_cpu()) {}

void RecordedStep::run(StepInputs inputs, Generator& generator,
                       const std::function<void(const StepInputs&)>& step) {
  const bool profiled = Profiler::running();
  if (profiled && recording_) reset();  // a replay would not show its kernels
  place(std::move(inputs));
  if (!recording_ && can_record_ && !profiled && steps_ >= steps_before_recording)
    record_step(generator, step);
  if (recording_) {
    replay(generator);
  } else {
    step(inputs_);
    inputs_.batch = {};
  }
  ++steps_;
}

void RecordedStep::place(StepInputs inputs) {
  if (recording_) {
    inputs_.batch.bottleneck_input.copy_from(inputs.batch.bottleneck_input);
    for (size_t g = 0; g < inputs.batch.encoded.size(); ++g)
      inputs_.batch.encoded[g].copy_from(inputs.batch.encoded[g]);
  } else {
    inputs_.batch = std::move(inputs.batch);
  }
  if (!inputs_.mined_points.defined()) inputs_.mined_points = Tensor::empty({1}, Dtype::i64, device_);
  inputs_.mined_points.copy_from(inputs.mined_points);
}

void RecordedStep::record_step(Generator& generator, const std::function<void(const StepInputs&)>& step) {
  const Generator before = generator;
  try {
    recording_ = backend_for(device_).record([&] { step(inputs_); });
  } catch (const InputError& lack) {  // what a step that is not recorded does not meet is want of memory
    print_error("steps are not recorded, and may take longer: {}\n", lack.what());
  }
  can_record_ = recording_ != nullptr;
  if (recording_) {
    recorded_at_ = before.offset();
    blocks_per_step_ = generator.offset() - before.offset();
  }
  generator = before;  // nothing has been drawn yet
}

void RecordedStep::replay(Generator& generator) {
  recording_->replay(generator.offset() - recorded_at_);
  generator = Generator(generator.seed(), generator.offset() + blocks_per_step_);
}

void RecordedStep::reset() {
  recording_.reset();
  steps_ = 0;
}

}  // namespace dinomaly
