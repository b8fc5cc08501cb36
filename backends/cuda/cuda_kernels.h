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
  cudaStream_t stream() const { return stream_; }  // of all its work

// The kernels themselves: one declaration for each that Kernels declares.
#include "backends/kernel_overrides.inc"

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
  if (recording_ != nullptr) return recording_->upload(items.data(), items.size_bytes(), device());
  const Tensor result = Tensor::empty({static_cast<int64_t>(items.size_bytes())}, Dtype::u8, device());
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
