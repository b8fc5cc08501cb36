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
  // A tensor (bytes) of u8 that holds these bytes before the first replay and keeps them. It is none of the reserve's
  // memory: what was freed earlier in the recording is written again by each replay.
  Tensor upload(const void* data, size_t bytes, Device device);

 private:
  void capture(const std::function<void()>& work);
  void release();

  Staging& staging_;
  CachingAllocator& allocator_;
  cudaStream_t stream_;
  Tensor random_blocks_;
  std::vector<std::pair<Tensor, std::vector<char>>> uploads_;
  int64_t reserve_ = 0;
  cudaGraphExec_t program_ = nullptr;
};

}  // namespace nabla
