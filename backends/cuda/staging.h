// Staging of bytes from the host to a GPU.
#pragma once

#include <cstddef>
#include <deque>
#include <mutex>

#include "backends/cuda/cuda.h"

namespace nabla {

// Pinned buffers, used in turn: one is filled while others wait to be sent. What the stream does first may take long, as a
// training step does, so that there are as many as one step's batch of features needs, made when they are needed. A few bytes, as
// the numbers of a training step, need none: they travel as an argument of a kernel. Thread safe.
class Staging {
 public:
  explicit Staging(cudaStream_t stream) : stream_(stream) {}
  Staging(const Staging&) = delete;
  Staging& operator=(const Staging&) = delete;

  // Enqueues the copy on the stream. On return `host` has been read and may change or go. Waits only where all buffers are full.
  void to_device(const void* host, void* device, size_t bytes);

 private:
  struct Buffer {
    void* memory = nullptr;
    cudaEvent_t sent = nullptr;  // recorded behind the last copy out of `memory`
  };
  static constexpr size_t buffer_bytes = size_t{8} << 20, most_buffers = 16;

  Buffer& free_buffer();

  cudaStream_t stream_;
  std::mutex mutex_;
  std::deque<Buffer> buffers_;  // the one that was sent first in front; never freed, like the backend
};

}  // namespace nabla
