// Gradients of several processes, added up while the backward pass still runs.
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "autograd/variable.h"
#include "dinomaly/base/framework.h"
#include "tensor/communicator.h"

namespace dinomaly {

// Notes each parameter's gradient when the backward pass has it complete, and sends them in buckets of some MB: a bucket is
// on its way while the next one fills (Li et al. 2020, "PyTorch Distributed"). All processes run the same graph, so they fill
// the same buckets. Gradients of bf16 are added in f32.
class GradientExchange {
 public:
  using Clock = std::chrono::steady_clock;

  // Of one process it does nothing. The parameters' hooks live as long as this.
  GradientExchange(const std::vector<Variable>& parameters, Communicator& processes,
                   int64_t bucket_bytes = int64_t{8} << 20);
  ~GradientExchange();
  GradientExchange(const GradientExchange&) = delete;
  GradientExchange& operator=(const GradientExchange&) = delete;

  // After backward(): when it returns, the parameters' gradients are the sums over all processes, the same bits in each.
  void finish();

  // The way of one bucket.
  struct Travel {
    int64_t bytes;
    Clock::time_point sent, arrived;  // arrived: when this process noticed it
  };
  // Those of the last finish(), in the order in which they were sent: what of the travel the backward pass has hidden.
  const std::vector<Travel>& travels() const { return travels_; }
  // How long all finish() so far have waited for buckets.
  double seconds_waited() const { return seconds_waited_; }

 private:
  struct Part {
    size_t parameter;
    Tensor gradient;
  };
  struct Bucket {
    std::vector<Part> parts;
    Tensor sums;
    std::unique_ptr<Communicator::Pending> pending;
    Clock::time_point sent = Clock::now();
    std::optional<Clock::time_point> arrived = {};
  };
  void add(size_t parameter, const Tensor& gradient);
  void send();

  std::vector<Variable> parameters_;
  Communicator& processes_;
  int64_t bucket_bytes_;
  std::vector<Part> open_;
  int64_t open_bytes_ = 0;
  std::vector<Bucket> sent_;
  std::vector<Travel> travels_;
  double seconds_waited_ = 0;
  std::vector<HookHandle> hooks_;
};

}  // namespace dinomaly
