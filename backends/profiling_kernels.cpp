#include "backends/profiling_kernels.h"

#include <chrono>
#include <map>
#include <mutex>
#include <utility>

#include "tensor/profiler.h"

namespace nabla {

namespace {

// Seconds that kernels called by this thread's running kernel have taken.
thread_local double seconds_within = 0;

// Measures until stop(), which reports the call; a call that throws is not reported.
class Timer {
 public:
  Timer(Kernels& kernels, const char* name, double flops, double bytes)
      : kernels_(kernels), name_(name), flops_(flops), bytes_(bytes), around_(seconds_within) {
    kernels_.synchronize();
    seconds_within = 0;
    start_ = Clock::now();
  }
  ~Timer() { seconds_within = around_ + seconds_; }
  Timer(const Timer&) = delete;
  Timer& operator=(const Timer&) = delete;

  void stop() {
    kernels_.synchronize();
    seconds_ = std::chrono::duration<double>(Clock::now() - start_).count();
    Profiler::add(name_, detail::phase, seconds_ - seconds_within, flops_, bytes_);
  }

 private:
  using Clock = std::chrono::steady_clock;

  Kernels& kernels_;
  const char* name_;
  double flops_, bytes_, around_, seconds_ = 0;
  Clock::time_point start_;
};

double bytes_of(const Tensor& tensor) {
  if (!tensor.defined()) return 0;
  double elements = 1;
  for (int axis = 0; axis < tensor.rank(); ++axis) {
    const bool repeated = tensor.strides()[axis] == 0 && tensor.size(axis) > 1;
    elements *= repeated ? 1.0 : static_cast<double>(tensor.size(axis));
  }
  return elements * static_cast<double>(size_of(tensor.dtype()));
}

double bytes_of(const Epilogue& epilogue) {
  return bytes_of(epilogue.bias) + bytes_of(epilogue.column_scale) + bytes_of(epilogue.residual);
}

double bytes_of(std::span<const Tensor> tensors) {
  double bytes = 0;
  for (const Tensor& tensor : tensors) bytes += bytes_of(tensor);
  return bytes;
}

double bytes_of(std::span<const AdamSlot> slots) {
  double bytes = 0;
  for (const AdamSlot& slot : slots) {
    // All but the gradient are read and written.
    bytes += bytes_of(slot.gradient) +
             2 * (bytes_of(slot.parameter) + bytes_of(slot.first_moment) + bytes_of(slot.second_moment) +
                  bytes_of(slot.max_second_moment) + bytes_of(slot.master));
  }
  return bytes;
}

// Scalars, names and argument structs weigh nothing.
template <class Other>
double bytes_of(const Other&) {
  return 0;
}

// How many floating-point operations a call takes: none that count, for a kernel without an entry here. Most
// wait for memory; those that multiply matrices say what they multiply.
template <auto kernel>
constexpr auto flops_of = [](const auto&...) { return 0.0; };

template <>
constexpr auto flops_of<&Kernels::matmul> =
    [](const Tensor& a, bool a_transposed, const Tensor&, bool, const Tensor& out, const auto&...) {
      return 2.0 * static_cast<double>(out.numel()) * static_cast<double>(a.size(a_transposed ? -2 : -1));
    };

template <>
constexpr auto flops_of<&Kernels::quantized_matmul> =
    [](const Tensor& a, const Tensor&, const Tensor&, const Tensor&, const Tensor& out, const auto&...) {
      return 2.0 * static_cast<double>(out.numel()) * static_cast<double>(a.size(1));
    };

// `factor` operations for each pair of a query and a key and each channel.
double attention_flops(double factor, const Tensor& q, const Tensor& k) {
  return factor * static_cast<double>(q.numel()) * static_cast<double>(k.size(2));
}
template <>
constexpr auto flops_of<&Kernels::attention> =
    [](const Tensor& q, const Tensor& k, const auto&...) { return attention_flops(4, q, k); };
template <>
constexpr auto flops_of<&Kernels::attention_backward> =
    [](const Tensor&, const Tensor& q, const Tensor& k, const auto&...) { return attention_flops(10, q, k); };

double linear_attention_flops(double factor, const Tensor& q) {
  return factor * static_cast<double>(q.numel()) * static_cast<double>(q.size(3));
}
template <>
constexpr auto flops_of<&Kernels::linear_attention> =
    [](const Tensor& q, const auto&...) { return linear_attention_flops(4, q); };
template <>
constexpr auto flops_of<&Kernels::linear_attention_backward> =
    [](const Tensor&, const Tensor& q, const auto&...) { return linear_attention_flops(10, q); };

// Every element of y is a sum over the weights of one output channel.
double conv2d_flops(const Tensor& y, const Tensor& weight) {
  return 2.0 * static_cast<double>(y.numel()) * static_cast<double>(weight.numel() / weight.size(0));
}
template <>
constexpr auto flops_of<&Kernels::conv2d> = [](const Tensor&, const Tensor& weight, const Tensor&,
                                               const Conv2dArgs&,
                                               const Tensor& y) { return conv2d_flops(y, weight); };
template <>
constexpr auto flops_of<&Kernels::conv2d_backward_data> =
    [](const Tensor& dy, const Tensor& weight, const auto&...) { return conv2d_flops(dy, weight); };
template <>
constexpr auto flops_of<&Kernels::conv2d_backward_weight> =
    [](const Tensor& dy, const Tensor&, const Conv2dArgs&, const Tensor& dweight) {
      return conv2d_flops(dy, dweight);
    };

class ProfilingKernels : public Kernels {
 public:
  explicit ProfilingKernels(Kernels& inner) : inner_(inner) {}

  Device device() const override { return inner_.device(); }
  CachingAllocator& allocator() override { return inner_.allocator(); }
  void trim() override { inner_.trim(); }
  void synchronize() override { inner_.synchronize(); }
  // Each call is waited for, so there is nothing to record.
  std::unique_ptr<Recording> record(const std::function<void()>&) override { return nullptr; }

// For each kernel that Kernels declares, an override that calls measured<&Kernels::NAME>("NAME", ...).
#include "backends/kernel_profiles.inc"

 private:
  template <auto kernel, class... Args>
  void measured(const char* name, const Args&... args) {
    Timer timer(inner_, name, flops_of<kernel>(args...), (bytes_of(args) + ...));
    (inner_.*kernel)(args...);
    timer.stop();
  }

  Kernels& inner_;
};

}  // namespace

Kernels& profiled(Kernels& kernels) {
  static std::mutex& mutex = *new std::mutex;
  static auto& decorators = *new std::map<Kernels*, ProfilingKernels*>;
  const std::lock_guard lock(mutex);
  ProfilingKernels*& decorator = decorators[&kernels];
  if (decorator == nullptr) decorator = new ProfilingKernels(kernels);
  return *decorator;
}

}  // namespace nabla
