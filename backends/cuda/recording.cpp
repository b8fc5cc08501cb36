#include "backends/cuda/recording.h"

namespace nabla {

CudaRecording::CudaRecording(CudaRecording*& recording, const std::function<void()>& work, Staging& staging,
                             CachingAllocator& allocator, Device device, cudaStream_t stream)
    : staging_(staging),
      allocator_(allocator),
      stream_(stream),
      random_blocks_(Tensor::zeros({1}, Dtype::i64, device)) {
  check(recording == nullptr, "record: another recording is under way");
  reserve_ = allocator_.begin_reserve();
  recording = this;
  const auto end = [&] {
    allocator_.end_reserve();
    recording = nullptr;
  };
  try {
    capture(work);
    end();
    for (const auto& [target, bytes] : uploads_)
      staging_.to_device(bytes.data(), target.raw_data(), bytes.size());
  } catch (...) {
    end();
    release();
    throw;
  }
}

CudaRecording::~CudaRecording() { release(); }

void CudaRecording::release() {
  if (program_ != nullptr) cudaGraphExecDestroy(program_);  // pending work still completes
  uploads_.clear();
  allocator_.release_reserve(reserve_);
}

// Relaxed: the allocator may ask for memory meanwhile.
void CudaRecording::capture(const std::function<void()>& work) {
  check_cuda(cudaStreamBeginCapture(stream_, cudaStreamCaptureModeRelaxed), "record");
  cudaGraph_t graph = nullptr;
  try {
    work();
  } catch (...) {
    if (cudaStreamEndCapture(stream_, &graph) == cudaSuccess) cudaGraphDestroy(graph);
    (void)cudaGetLastError();  // the first error is the one to report
    throw;
  }
  check_cuda(cudaStreamEndCapture(stream_, &graph), "record");
  const cudaError_t made = cudaGraphInstantiate(&program_, graph, 0);
  cudaGraphDestroy(graph);
  check_cuda(made, "record");
}

Tensor CudaRecording::upload(const void* data, size_t bytes, Device device) {
  allocator_.pause_reserve();
  const Tensor target = Tensor::empty({static_cast<int64_t>(bytes)}, Dtype::u8, device);
  allocator_.resume_reserve();
  const char* begin = static_cast<const char*>(data);
  uploads_.emplace_back(target, std::vector<char>(begin, begin + bytes));
  return target;
}

void CudaRecording::replay(uint64_t random_blocks) {
  staging_.to_device(&random_blocks, random_blocks_.raw_data(), sizeof random_blocks);
  check_cuda(cudaGraphLaunch(program_, stream_), "replay");
}

}  // namespace nabla
