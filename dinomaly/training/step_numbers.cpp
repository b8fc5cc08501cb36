#include "dinomaly/training/step_numbers.h"

#include <fmt/format.h>

#include <cmath>
#include <string>
#include <utility>

#include "dinomaly/base/framework.h"

namespace dinomaly {

namespace {
constexpr int64_t steps_read_at_once = 16;  // on a GPU

// A NaN has a sign, which means nothing.
std::string in_short(double value) { return std::isnan(value) ? "nan" : fmt::format("{:.4g}", value); }

}  // namespace

void check_finite(const TrainingStep& step) {
  check_input(std::isfinite(step.loss) && std::isfinite(step.grad_norm),
              "training diverged in iteration {}: its loss is {} and its gradient norm {}; a lower "
              "learning_rate helps, or --set linear_attention_eps=1e-6 where a denominator of the linear "
              "attention was zero",
              step.iteration, in_short(step.loss), in_short(step.grad_norm));
}

StepNumbers::StepNumbers(Device device, bool may_skip)
    : may_skip_(may_skip),
      numbers_(Tensor::empty({device.is_cpu() ? 1 : steps_read_at_once, 2}, Dtype::f64, device)) {}

void StepNumbers::add(int64_t iteration, double learning_rate, const Tensor& loss, const Tensor& grad_norm) {
  if (is_full()) read();
  const Tensor row = numbers_.select(0, static_cast<int64_t>(waiting_.size()));
  row.slice(0, 0, 1).copy_from(loss.reshape({1}));
  row.slice(0, 1, 2).copy_from(grad_norm.reshape({1}));
  waiting_.push_back({.iteration = iteration, .learning_rate = learning_rate});
}

void StepNumbers::read() {
  const auto numbers = numbers_.to_vector<double>();
  for (size_t i = 0; i < waiting_.size(); ++i) {
    waiting_[i].loss = numbers[2 * i], waiting_[i].grad_norm = numbers[2 * i + 1];
    waiting_[i].skipped = may_skip_ && !std::isfinite(waiting_[i].grad_norm);
    if (!waiting_[i].skipped) check_finite(waiting_[i]);
    finished_.push_back(waiting_[i]);
  }
  waiting_.clear();
}

std::vector<TrainingStep> StepNumbers::take(bool all) {
  if (is_full() || (all && !waiting_.empty())) read();
  return std::exchange(finished_, {});
}

}  // namespace dinomaly
