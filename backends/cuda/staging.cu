#include <algorithm>
#include <cstring>

#include "backends/cuda/launch.cuh"
#include "backends/cuda/staging.h"

namespace nabla {

namespace {

struct FewBytes {
  unsigned char values[block_threads];
};

__global__ void store_bytes_kernel(FewBytes bytes, int count, unsigned char* to) {
  const int i = static_cast<int>(threadIdx.x);
  if (i < count) to[i] = bytes.values[i];
}

void send_as_argument(const void* host, void* device, size_t count, cudaStream_t stream) {
  FewBytes bytes{};
  std::memcpy(bytes.values, host, count);
  launch("copy", stream, 1, block_threads, 0, store_bytes_kernel, bytes, static_cast<int>(count),
         static_cast<unsigned char*>(device));
}

}  // namespace

// Where the buffer that was sent first is still on its way, another one as long as there is memory for it; else that one. It is the last
// of all now.
Staging::Buffer& Staging::free_buffer() {
  Buffer buffer;
  const bool more = buffers_.empty() || (buffers_.size() < most_buffers && !is_done(buffers_.front().sent));
  const cudaError_t made = more ? cudaMallocHost(&buffer.memory, buffer_bytes) : cudaErrorMemoryAllocation;
  if (made == cudaSuccess) {
    check_cuda(cudaEventCreateWithFlags(&buffer.sent, cudaEventDisableTiming), "copy");
  } else {
    if (buffers_.empty()) check_cuda(made, "copy");
    if (more) (void)cudaGetLastError();
    buffer = buffers_.front();
    buffers_.pop_front();
  }
  buffers_.push_back(buffer);
  check_cuda(cudaEventSynchronize(buffer.sent), "copy");  // returns at once if nothing was ever sent
  return buffers_.back();
}

void Staging::to_device(const void* host, void* device, size_t bytes) {
  if (bytes == 0) return;
  if (bytes <= sizeof(FewBytes)) return send_as_argument(host, device, bytes, stream_);
  const std::lock_guard lock(mutex_);
  for (size_t begin = 0; begin < bytes; begin += buffer_bytes) {
    const size_t count = std::min(buffer_bytes, bytes - begin);
    const Buffer& buffer = free_buffer();
    std::memcpy(buffer.memory, static_cast<const char*>(host) + begin, count);
    check_cuda(cudaMemcpyAsync(static_cast<char*>(device) + begin, buffer.memory, count,
                               cudaMemcpyHostToDevice, stream_),
               "copy");
    check_cuda(cudaEventRecord(buffer.sent, stream_), "copy");
  }
}

}  // namespace nabla
