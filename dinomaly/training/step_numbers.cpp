#include "dinomaly/training/step_numbers.h"

#include <utility>

#include "dinomaly/base/framework.h"

namespace dinomaly {

namespace {
constexpr int64_t steps_read_at_once = 16;  // on a GPU
}

StepNumbers::StepNumbers(Device device)
    : numbers_(Tensor::empty({device.is_cpu() ? 1 : steps_read_at_once, 2}, Dtype::f64, device)) {}

void StepNumbers::add(int64_t iteration, double learning_rate, const Tensor& loss, const Tensor& grad_norm) {
  if (is_full()) read();
  const Tensor row = numbers_.select(0, static_cast<int64_t>(waiting_.size()));
  row.slice(0, 0, 1).copy_from(loss.reshape({1}));
  row.slice(0, 1, 2).copy_from(grad_norm.reshape({1}));
  waiting_.push_back({iteration, 0, learning_rate, 0});
}

void StepNumbers::read() {
  const auto numbers = numbers_.to_vector<double>();
  for (size_t i = 0; i < waiting_.size(); ++i) {
    waiting_[i].loss = numbers[2 * i], waiting_[i].grad_norm = numbers[2 * i + 1];
    finished_.push_back(waiting_[i]);
  }
  waiting_.clear();
}

std::vector<TrainingStep> StepNumbers::take(bool all) {
  if (is_full() || (all && !waiting_.empty())) read();
  return std::exchange(finished_, {});
}

}  // namespace dinomaly
