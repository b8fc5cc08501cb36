// The CUDA backend: one GPU, one stream. Contracts are in tensor/kernels.h; each group of methods has its own
// file in this folder, named as in backends/cpu. Every kernel gives the same bits from run to run: sums have
// a fixed order, and nothing is added by atomics.
#pragma once

#include <memory>
#include <span>

#include "backends/cuda/cublaslt.h"
#include "backends/cuda/recording.h"
#include "backends/cuda/staging.h"
#include "tensor/kernels.h"

namespace nabla {

// Whether this program holds code that the calling thread's current GPU can run.
bool has_code_for_current_device();

class CudaKernels final : public Kernels {
 public:
  // GPU `index` exists and is the current one.
  explicit CudaKernels(int index);

  Device device() const override { return Device::cuda(index_); }
  CachingAllocator& allocator() override { return allocator_; }
  void trim() override;
  void synchronize() override;
  std::unique_ptr<Recording> record(const std::function<void()>& work) override;

  void copy(const Tensor& from, const Tensor& to) override;
  void fill(const Tensor& out, double value) override;
  void unary(Unary op, const Tensor& x, UnaryArgs args, const Tensor& y) override;
  void unary_backward(Unary op, const Tensor& dy, const Tensor& x, const Tensor& y, UnaryArgs args,
                      const Tensor& dx) override;
  void binary(Binary op, const Tensor& a, const Tensor& b, const Tensor& out) override;
  void compare(Compare op, const Tensor& a, const Tensor& b, const Tensor& out) override;
  void where(const Tensor& condition, const Tensor& a, const Tensor& b, const Tensor& out) override;
  void reduce(Reduce op, const Tensor& x, const Tensor& out) override;
  void arg_max(const Tensor& x, const Tensor& out) override;
  void sort(const Tensor& x, bool descending, const Tensor& values, const Tensor& indices) override;
  void topk(const Tensor& x, int64_t k, bool largest, const Tensor& values, const Tensor& indices) override;
  void kth_largest(const Tensor& x, const Tensor& k, const Tensor& out) override;
  void matmul(const Tensor& a, bool a_transposed, const Tensor& b, bool b_transposed, const Tensor& out,
              const Epilogue& epilogue = {}, bool frozen_b = false) override;
  void layer_norm(const Tensor& x, const Tensor& weight, const Tensor& bias, double eps, const Tensor& y,
                  const Tensor& mean, const Tensor& rstd) override;
  void layer_norm_backward(const Tensor& dy, const Tensor& x, const Tensor& weight, const Tensor& mean,
                           const Tensor& rstd, const Tensor& dx, const Tensor& dweight,
                           const Tensor& dbias) override;
  void softmax(const Tensor& x, bool logarithm, const Tensor& y) override;
  void softmax_backward(const Tensor& dy, const Tensor& y, bool logarithm, const Tensor& dx) override;
  void cross_entropy(const Tensor& logits, const Tensor& labels, const Tensor& loss,
                     const Tensor& probabilities) override;
  void cross_entropy_backward(const Tensor& dloss, const Tensor& probabilities, const Tensor& labels,
                              const Tensor& dlogits) override;
  void attention(const Tensor& q, const Tensor& k, const Tensor& v, double scale, const Tensor& out,
                 const Tensor& logsumexp) override;
  void attention_backward(const Tensor& dout, const Tensor& q, const Tensor& k, const Tensor& v,
                          const Tensor& out, const Tensor& logsumexp, double scale, const Tensor& dq,
                          const Tensor& dk, const Tensor& dv) override;
  void linear_attention(const Tensor& q, const Tensor& k, const Tensor& v, double eps,
                        const Tensor& out) override;
  void linear_attention_backward(const Tensor& dout, const Tensor& q, const Tensor& k, const Tensor& v,
                                 double eps, const Tensor& dq, const Tensor& dk, const Tensor& dv) override;
  void dropout(const Tensor& x, double p, uint64_t seed, uint64_t offset, const Tensor& y) override;
  void conv2d(const Tensor& x, const Tensor& weight, const Tensor& bias, const Conv2dArgs& args,
              const Tensor& y) override;
  void conv2d_backward_data(const Tensor& dy, const Tensor& weight, const Conv2dArgs& args,
                            const Tensor& dx) override;
  void conv2d_backward_weight(const Tensor& dy, const Tensor& x, const Conv2dArgs& args,
                              const Tensor& dweight) override;
  void interpolate(const Tensor& x, const InterpolateArgs& args, const Tensor& y) override;
  void interpolate_backward(const Tensor& dy, const InterpolateArgs& args, const Tensor& dx) override;
  void cosine_similarity(const Tensor& a, const Tensor& b, double eps, const Tensor& out) override;
  void cosine_similarity_backward(const Tensor& dout, const Tensor& a, const Tensor& b, double eps,
                                  const Tensor& da, const Tensor& db) override;
  void sum_of_squares(std::span<const Tensor> tensors, const Tensor& out) override;
  void clip_factor(const Tensor& squares, double max_norm, const Tensor& out) override;
  void stable_adamw(std::span<const AdamSlot> slots, const StableAdamWArgs& args, const Tensor& rate_and_step,
                    const Tensor& gradient_scale) override;

 private:
  // A list of structs for a kernel, as bytes on the GPU; while recording, they are there at every replay.
  template <class Item>
  Tensor upload(std::span<const Item> items);
  void add_epilogue(const Tensor& product, const Epilogue& epilogue, const Tensor& out);
  bool conv2d_as_matmul(const Tensor& x, const Tensor& weight, const Tensor& bias, const Conv2dArgs& args,
                        const Tensor& y);

  int index_;
  cudaStream_t stream_ = nullptr;
  CachingAllocator allocator_;
  Staging staging_;
  CublasLt products_;
  CudaRecording* recording_ = nullptr;  // under way
};

template <class Item>
Tensor CudaKernels::upload(std::span<const Item> items) {
  const Tensor result = Tensor::empty({static_cast<int64_t>(items.size_bytes())}, Dtype::u8, device());
  if (items.empty()) return result;
  if (recording_ != nullptr)
    recording_->upload(items.data(), result);
  else
    staging_.to_device(items.data(), result.raw_data(), items.size_bytes());
  return result;
}

// f32 and bf16, which a GPU computes in: calls function(T{}). f64 is the CPU's (tensor/kernels.h).
template <class Function>
void visit_computed(const char* op, Dtype dtype, const Function& function) {
  check_input(dtype != Dtype::f64, "{}: f64 is computed on the CPU only; a GPU takes f32 or bf16", op);
  check(is_floating(dtype), "{}: expected a floating dtype, got {}", op, dtype);
  if (dtype == Dtype::bf16) return function(BFloat16{});
  function(float{});
}

}  // namespace nabla
