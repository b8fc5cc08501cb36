#include "backends/cuda/staging.h"

#include <algorithm>
#include <cstring>

namespace nabla {

void Staging::make(Buffer& buffer) {
  check_cuda(cudaMallocHost(&buffer.memory, buffer_bytes), "copy");
  check_cuda(cudaEventCreateWithFlags(&buffer.sent, cudaEventDisableTiming), "copy");
}

void Staging::to_device(const void* host, void* device, size_t bytes) {
  const std::lock_guard lock(mutex_);
  for (size_t begin = 0; begin < bytes; begin += buffer_bytes) {
    const size_t count = std::min(buffer_bytes, bytes - begin);
    Buffer& buffer = buffers_[next_];
    next_ = (next_ + 1) % buffers_.size();
    if (buffer.sent == nullptr) make(buffer);
    check_cuda(cudaEventSynchronize(buffer.sent), "copy");  // returns at once if nothing was ever sent
    std::memcpy(buffer.memory, static_cast<const char*>(host) + begin, count);
    check_cuda(cudaMemcpyAsync(static_cast<char*>(device) + begin, buffer.memory, count,
                               cudaMemcpyHostToDevice, stream_),
               "copy");
    check_cuda(cudaEventRecord(buffer.sent, stream_), "copy");
  }
}

}  // namespace nabla
