// Staging of bytes from the host to a GPU.
#pragma once

#include <array>
#include <cstddef>
#include <mutex>

#include "backends/cuda/cuda.h"

namespace nabla {

// Two pinned buffers, used alternately: one is filled while the other is being sent. A few bytes, as the numbers of a
// training step, need neither: they travel as an argument of a kernel, and the host waits for nothing. Thread safe.
class Staging {
 public:
  explicit Staging(cudaStream_t stream) : stream_(stream) {}
  Staging(const Staging&) = delete;
  Staging& operator=(const Staging&) = delete;

  // Enqueues the copy on the stream. On return `host` has been read and may change or go.
  void to_device(const void* host, void* device, size_t bytes);

 private:
  struct Buffer {
    void* memory = nullptr;
    cudaEvent_t sent = nullptr;  // recorded behind the last copy out of `memory`
  };
  static constexpr size_t buffer_bytes = size_t{8} << 20;

  void make(Buffer& buffer);

  cudaStream_t stream_;
  std::mutex mutex_;
  std::array<Buffer, 2> buffers_;  // never freed, like the backend
  size_t next_ = 0;
};

}  // namespace nabla
