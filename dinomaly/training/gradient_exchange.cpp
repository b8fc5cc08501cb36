#include "dinomaly/training/gradient_exchange.h"

#include <utility>

namespace dinomaly {

GradientExchange::GradientExchange(const std::vector<Variable>& parameters, Communicator& processes,
                                   int64_t bucket_bytes)
    : parameters_(parameters), processes_(processes), bucket_bytes_(bucket_bytes) {
  if (processes_.size() == 1) return;
  for (size_t i = 0; i < parameters_.size(); ++i) {
    hooks_.push_back(parameters_[i].register_hook([this, i](const Tensor& gradient) {
      add(i, gradient);
      return gradient;
    }));
  }
}

GradientExchange::~GradientExchange() {
  for (HookHandle& hook : hooks_) hook.remove();
}

void GradientExchange::add(size_t parameter, const Tensor& gradient) {
  for (Bucket& bucket : sent_) {
    if (!bucket.arrived && bucket.pending->progress()) bucket.arrived = Clock::now();
  }
  const auto bytes = static_cast<int64_t>(gradient.bytes());
  // A bucket has one dtype.
  if (!open_.empty() &&
      (open_bytes_ + bytes > bucket_bytes_ || open_.front().gradient.dtype() != gradient.dtype()))
    send();
  open_.push_back({parameter, gradient});
  open_bytes_ += bytes;
}

void GradientExchange::send() {
  int64_t count = 0;
  for (const Part& part : open_) count += part.gradient.numel();
  const Dtype dtype = open_.front().gradient.dtype() == Dtype::f64 ? Dtype::f64 : Dtype::f32;
  const Device device = open_.front().gradient.device();
  Bucket bucket{std::exchange(open_, {}), Tensor::empty({count}, dtype, device), nullptr};
  int64_t first = 0;
  for (Part& part : bucket.parts) {
    const int64_t end = first + part.gradient.numel();
    bucket.sums.slice(0, first, end).reshape(part.gradient.shape()).copy_from(part.gradient);
    part.gradient = {};
    first = end;
  }
  bucket.pending = processes_.begin_all_reduce(bucket.sums);
  sent_.push_back(std::move(bucket));
  open_bytes_ = 0;
}

void GradientExchange::finish() {
  if (!open_.empty()) send();
  travels_.clear();
  for (Bucket& bucket : sent_) {
    const Clock::time_point before = Clock::now();
    bucket.pending->wait();
    seconds_waited_ += std::chrono::duration<double>(Clock::now() - before).count();
    const int64_t bytes = static_cast<int64_t>(bucket.sums.bytes());
    travels_.push_back({bytes, bucket.sent, bucket.arrived.value_or(Clock::now())});
    int64_t first = 0;
    for (const Part& part : bucket.parts) {
      const Variable& parameter = parameters_[part.parameter];
      const int64_t end = first + parameter.value().numel();
      parameter.set_grad(bucket.sums.slice(0, first, end).reshape(parameter.shape()).to(parameter.dtype()));
      first = end;
    }
  }
  sent_.clear();
}

}  // namespace dinomaly
