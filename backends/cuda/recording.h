// Work captured as one CUDA graph.
#pragma once

#include <functional>
#include <utility>
#include <vector>

#include "backends/cuda/staging.h"
#include "tensor/allocator.h"
#include "tensor/backend.h"
#include "tensor/tensor.h"

namespace nabla {

class CudaRecording final : public Recording {
 public:
  // Captures what work() enqueues on `stream`. `recording` points to this object meanwhile.
  CudaRecording(CudaRecording*& recording, const std::function<void()>& work, Staging& staging,
                CachingAllocator& allocator, Device device, cudaStream_t stream);
  ~CudaRecording() override;
  CudaRecording(const CudaRecording&) = delete;
  CudaRecording& operator=(const CudaRecording&) = delete;

  void replay(uint64_t random_blocks) override;

  // Added to the offsets of random numbers: one i64 on the GPU.
  const Tensor& random_blocks() const { return random_blocks_; }
  // The bytes are in `target` before the first replay, and stay there.
  void upload(const void* data, const Tensor& target);

 private:
  void capture(const std::function<void()>& work);

  Staging& staging_;
  CachingAllocator& allocator_;
  cudaStream_t stream_;
  Tensor random_blocks_;
  std::vector<std::pair<Tensor, std::vector<char>>> uploads_;
  int64_t reserve_ = 0;
  cudaGraphExec_t program_ = nullptr;
};

}  // namespace nabla
