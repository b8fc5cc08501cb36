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

// Measures until the end of its life and reports the call.
class Timer {
 public:
  Timer(Kernels& kernels, const char* name, double flops, double bytes)
      : kernels_(kernels), name_(name), flops_(flops), bytes_(bytes), around_(seconds_within) {
    kernels_.synchronize();
    seconds_within = 0;
    start_ = Clock::now();
  }
  ~Timer() {
    kernels_.synchronize();
    const double seconds = std::chrono::duration<double>(Clock::now() - start_).count();
    Profiler::add(name_, detail::phase, seconds - seconds_within, flops_, bytes_);
    seconds_within = around_ + seconds;
  }
  Timer(const Timer&) = delete;
  Timer& operator=(const Timer&) = delete;

 private:
  using Clock = std::chrono::steady_clock;

  Kernels& kernels_;
  const char* name_;
  double flops_, bytes_, around_;
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

template <class First, class... Rest>
requires(sizeof...(Rest) > 0) double bytes_of(const First& first, const Rest&... rest) {
  return bytes_of(first) + bytes_of(rest...);
}

double matmul_flops(const Tensor& a, bool a_transposed, const Tensor& out) {
  return 2.0 * static_cast<double>(out.numel()) * static_cast<double>(a.size(a_transposed ? -2 : -1));
}

// `factor` operations for each pair of a query and a key and each channel.
double attention_flops(double factor, const Tensor& q, const Tensor& k) {
  return factor * static_cast<double>(q.numel()) * static_cast<double>(k.size(2));
}

double linear_attention_flops(double factor, const Tensor& q) {
  return factor * static_cast<double>(q.numel()) * static_cast<double>(q.size(3));
}

// Every element of y is a sum over the weights of one output channel.
double conv2d_flops(const Tensor& y, const Tensor& weight) {
  return 2.0 * static_cast<double>(y.numel()) * static_cast<double>(weight.numel() / weight.size(0));
}

class ProfilingKernels : public Kernels {
 public:
  explicit ProfilingKernels(Kernels& inner) : inner_(inner) {}

  Device device() const override { return inner_.device(); }
  CachingAllocator& allocator() override { return inner_.allocator(); }
  void trim() override { inner_.trim(); }
  void synchronize() override { inner_.synchronize(); }
  // Each call is waited for, so there is nothing to record.
  std::unique_ptr<Recording> record(const std::function<void()>&) override { return nullptr; }

  void copy(const Tensor& from, const Tensor& to) override {
    const Timer timer(inner_, "copy", 0, bytes_of(from, to));
    inner_.copy(from, to);
  }
  void fill(const Tensor& out, double value) override {
    const Timer timer(inner_, "fill", 0, bytes_of(out));
    inner_.fill(out, value);
  }
  void unary(Unary op, const Tensor& x, UnaryArgs args, const Tensor& y) override {
    const Timer timer(inner_, "unary", 0, bytes_of(x, y));
    inner_.unary(op, x, args, y);
  }
  void unary_backward(Unary op, const Tensor& dy, const Tensor& x, const Tensor& y, UnaryArgs args,
                      const Tensor& dx) override {
    const Timer timer(inner_, "unary_backward", 0, bytes_of(dy, x, y, dx));
    inner_.unary_backward(op, dy, x, y, args, dx);
  }
  void binary(Binary op, const Tensor& a, const Tensor& b, const Tensor& out) override {
    const Timer timer(inner_, "binary", 0, bytes_of(a, b, out));
    inner_.binary(op, a, b, out);
  }
  void compare(Compare op, const Tensor& a, const Tensor& b, const Tensor& out) override {
    const Timer timer(inner_, "compare", 0, bytes_of(a, b, out));
    inner_.compare(op, a, b, out);
  }
  void where(const Tensor& condition, const Tensor& a, const Tensor& b, const Tensor& out) override {
    const Timer timer(inner_, "where", 0, bytes_of(condition, a, b, out));
    inner_.where(condition, a, b, out);
  }
  void reduce(Reduce op, const Tensor& x, const Tensor& out) override {
    const Timer timer(inner_, "reduce", 0, bytes_of(x, out));
    inner_.reduce(op, x, out);
  }
  void arg_max(const Tensor& x, const Tensor& out) override {
    const Timer timer(inner_, "arg_max", 0, bytes_of(x, out));
    inner_.arg_max(x, out);
  }
  void sort(const Tensor& x, bool descending, const Tensor& values, const Tensor& indices) override {
    const Timer timer(inner_, "sort", 0, bytes_of(x, values, indices));
    inner_.sort(x, descending, values, indices);
  }
  void topk(const Tensor& x, int64_t k, bool largest, const Tensor& values, const Tensor& indices) override {
    const Timer timer(inner_, "topk", 0, bytes_of(x, values, indices));
    inner_.topk(x, k, largest, values, indices);
  }
  void kth_largest(const Tensor& x, const Tensor& k, const Tensor& out) override {
    const Timer timer(inner_, "kth_largest", 0, bytes_of(x, k, out));
    inner_.kth_largest(x, k, out);
  }
  void matmul(const Tensor& a, bool a_transposed, const Tensor& b, bool b_transposed, const Tensor& out,
              const Epilogue& epilogue, bool frozen_b) override {
    const Timer timer(inner_, "matmul", matmul_flops(a, a_transposed, out), bytes_of(a, b, out, epilogue));
    inner_.matmul(a, a_transposed, b, b_transposed, out, epilogue, frozen_b);
  }
  void layer_norm(const Tensor& x, const Tensor& weight, const Tensor& bias, double eps, const Tensor& y,
                  const Tensor& mean, const Tensor& rstd) override {
    const Timer timer(inner_, "layer_norm", 0, bytes_of(x, weight, bias, y, mean, rstd));
    inner_.layer_norm(x, weight, bias, eps, y, mean, rstd);
  }
  void layer_norm_backward(const Tensor& dy, const Tensor& x, const Tensor& weight, const Tensor& mean,
                           const Tensor& rstd, const Tensor& dx, const Tensor& dweight,
                           const Tensor& dbias) override {
    const Timer timer(inner_, "layer_norm_backward", 0,
                      bytes_of(dy, x, weight, mean, rstd, dx, dweight, dbias));
    inner_.layer_norm_backward(dy, x, weight, mean, rstd, dx, dweight, dbias);
  }
  void softmax(const Tensor& x, bool logarithm, const Tensor& y) override {
    const Timer timer(inner_, "softmax", 0, bytes_of(x, y));
    inner_.softmax(x, logarithm, y);
  }
  void softmax_backward(const Tensor& dy, const Tensor& y, bool logarithm, const Tensor& dx) override {
    const Timer timer(inner_, "softmax_backward", 0, bytes_of(dy, y, dx));
    inner_.softmax_backward(dy, y, logarithm, dx);
  }
  void cross_entropy(const Tensor& logits, const Tensor& labels, const Tensor& loss,
                     const Tensor& probabilities) override {
    const Timer timer(inner_, "cross_entropy", 0, bytes_of(logits, labels, loss, probabilities));
    inner_.cross_entropy(logits, labels, loss, probabilities);
  }
  void cross_entropy_backward(const Tensor& dloss, const Tensor& probabilities, const Tensor& labels,
                              const Tensor& dlogits) override {
    const Timer timer(inner_, "cross_entropy_backward", 0, bytes_of(dloss, probabilities, labels, dlogits));
    inner_.cross_entropy_backward(dloss, probabilities, labels, dlogits);
  }
  void attention(const Tensor& q, const Tensor& k, const Tensor& v, double scale, const Tensor& out,
                 const Tensor& logsumexp) override {
    const Timer timer(inner_, "attention", attention_flops(4, q, k), bytes_of(q, k, v, out, logsumexp));
    inner_.attention(q, k, v, scale, out, logsumexp);
  }
  void attention_backward(const Tensor& dout, const Tensor& q, const Tensor& k, const Tensor& v,
                          const Tensor& out, const Tensor& logsumexp, double scale, const Tensor& dq,
                          const Tensor& dk, const Tensor& dv) override {
    const Timer timer(inner_, "attention_backward", attention_flops(10, q, k),
                      bytes_of(dout, q, k, v, out, logsumexp, dq, dk, dv));
    inner_.attention_backward(dout, q, k, v, out, logsumexp, scale, dq, dk, dv);
  }
  void linear_attention(const Tensor& q, const Tensor& k, const Tensor& v, double eps,
                        const Tensor& out) override {
    const Timer timer(inner_, "linear_attention", linear_attention_flops(4, q), bytes_of(q, k, v, out));
    inner_.linear_attention(q, k, v, eps, out);
  }
  void linear_attention_backward(const Tensor& dout, const Tensor& q, const Tensor& k, const Tensor& v,
                                 double eps, const Tensor& dq, const Tensor& dk, const Tensor& dv) override {
    const Timer timer(inner_, "linear_attention_backward", linear_attention_flops(10, q),
                      bytes_of(dout, q, k, v, dq, dk, dv));
    inner_.linear_attention_backward(dout, q, k, v, eps, dq, dk, dv);
  }
  void dropout(const Tensor& x, double p, uint64_t seed, uint64_t offset, const Tensor& y) override {
    const Timer timer(inner_, "dropout", 0, bytes_of(x, y));
    inner_.dropout(x, p, seed, offset, y);
  }
  void conv2d(const Tensor& x, const Tensor& weight, const Tensor& bias, const Conv2dArgs& args,
              const Tensor& y) override {
    const Timer timer(inner_, "conv2d", conv2d_flops(y, weight), bytes_of(x, weight, bias, y));
    inner_.conv2d(x, weight, bias, args, y);
  }
  void conv2d_backward_data(const Tensor& dy, const Tensor& weight, const Conv2dArgs& args,
                            const Tensor& dx) override {
    const Timer timer(inner_, "conv2d_backward_data", conv2d_flops(dy, weight), bytes_of(dy, weight, dx));
    inner_.conv2d_backward_data(dy, weight, args, dx);
  }
  void conv2d_backward_weight(const Tensor& dy, const Tensor& x, const Conv2dArgs& args,
                              const Tensor& dweight) override {
    const Timer timer(inner_, "conv2d_backward_weight", conv2d_flops(dy, dweight), bytes_of(dy, x, dweight));
    inner_.conv2d_backward_weight(dy, x, args, dweight);
  }
  void interpolate(const Tensor& x, const InterpolateArgs& args, const Tensor& y) override {
    const Timer timer(inner_, "interpolate", 0, bytes_of(x, y));
    inner_.interpolate(x, args, y);
  }
  void interpolate_backward(const Tensor& dy, const InterpolateArgs& args, const Tensor& dx) override {
    const Timer timer(inner_, "interpolate_backward", 0, bytes_of(dy, dx));
    inner_.interpolate_backward(dy, args, dx);
  }
  void cosine_similarity(const Tensor& a, const Tensor& b, double eps, const Tensor& out) override {
    const Timer timer(inner_, "cosine_similarity", 0, bytes_of(a, b, out));
    inner_.cosine_similarity(a, b, eps, out);
  }
  void cosine_similarity_backward(const Tensor& dout, const Tensor& a, const Tensor& b, double eps,
                                  const Tensor& da, const Tensor& db) override {
    const Timer timer(inner_, "cosine_similarity_backward", 0, bytes_of(dout, a, b, da, db));
    inner_.cosine_similarity_backward(dout, a, b, eps, da, db);
  }
  void sum_of_squares(std::span<const Tensor> tensors, const Tensor& out) override {
    const Timer timer(inner_, "sum_of_squares", 0, bytes_of(tensors, out));
    inner_.sum_of_squares(tensors, out);
  }
  void clip_factor(const Tensor& squares, double max_norm, const Tensor& out) override {
    const Timer timer(inner_, "clip_factor", 0, bytes_of(squares, out));
    inner_.clip_factor(squares, max_norm, out);
  }
  void stable_adamw(std::span<const AdamSlot> slots, const StableAdamWArgs& args, const Tensor& rate_and_step,
                    const Tensor& gradient_scale) override {
    const Timer timer(inner_, "stable_adamw", 0, bytes_of(slots));
    inner_.stable_adamw(slots, args, rate_and_step, gradient_scale);
  }

 private:
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
