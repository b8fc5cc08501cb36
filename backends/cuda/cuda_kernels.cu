#include <cstdlib>
#include <string_view>

#include "backends/cuda/cuda_kernels.h"

namespace nabla {

namespace {

// Memory of one GPU. cudaFree waits for the device, so a block never goes while a kernel uses it; asking the
// driver is slow, but happens only while the cache fills.
class DeviceSource final : public MemorySource {
 public:
  explicit DeviceSource(int index) : index_(index) {}

  void* acquire(size_t bytes) override {
    void* block = nullptr;
    const cudaError_t result = cudaMalloc(&block, bytes);
    if (result == cudaErrorMemoryAllocation) {
      (void)cudaGetLastError();  // this error is handled here; the next call must not see it
      return nullptr;
    }
    check_cuda(result, "allocate");
    return block;
  }
  void release(void* block, size_t) override { check_cuda(cudaFree(block), "free"); }
  size_t available() const override {
    size_t free_bytes = 0, total = 0;
    check_cuda(cudaMemGetInfo(&free_bytes, &total), "allocate");
    return free_bytes;
  }
  std::string advice() const override {
    size_t free_bytes = 0, total = 0;
    check_cuda(cudaMemGetInfo(&free_bytes, &total), "allocate");
    return memory_advice(Device::cuda(index_), free_bytes, total);
  }

 private:
  int index_;
};

cudaStream_t make_stream() {
  cudaStream_t stream = nullptr;
  check_cuda(cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking), "cuda");
  return stream;
}

// TF32 keeps 10 bits of a factor's mantissa: products several times as fast, errors of a thousandth.
bool wants_tf32() {
  const char* value = std::getenv("DINOMALY_TF32");
  return value != nullptr && std::string_view(value) == "1";
}

__global__ void probe_kernel() {}

}  // namespace

bool has_code_for_current_device() {
  cudaFuncAttributes attributes{};
  const cudaError_t result = cudaFuncGetAttributes(&attributes, probe_kernel);
  if (result == cudaSuccess) return true;
  (void)cudaGetLastError();
  if (result == cudaErrorNoKernelImageForDevice || result == cudaErrorInvalidDeviceFunction ||
      result == cudaErrorUnsupportedPtxVersion || result == cudaErrorInvalidKernelImage) {
    return false;
  }
  check_cuda(result, "cuda");
  return false;
}

CudaKernels::CudaKernels(int index)
    : index_(index),
      stream_(make_stream()),
      allocator_(std::make_unique<DeviceSource>(index)),
      staging_(stream_),
      products_(stream_, wants_tf32()) {}

void CudaKernels::trim() {
  synchronize();
  allocator().release_cached();
}

void CudaKernels::synchronize() { check_cuda(cudaStreamSynchronize(stream_), "synchronize"); }

std::unique_ptr<Recording> CudaKernels::record(const std::function<void()>& work) {
  if (launches_block()) return nullptr;  // a fault shall name its op; of a graph it would name the replay
  // The last chance to free memory: while work is being recorded nothing can be.
  if (recording_ == nullptr) trim();
  return std::make_unique<CudaRecording>(recording_, work, staging_, allocator_, device(), stream_);
}

}  // namespace nabla
