// The state of the emulated GPU, which the runtime's calls share: one queue of work for all streams.
#pragma once

#include <cuda_runtime_api.h>

#include <atomic>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <vector>

#include "tests/backends/cuda_emulator/block.h"
#include "tests/backends/cuda_emulator/memory.h"

// What the GPU does; `keeps_books`: of the emulator's own, done even after a fault.
struct Work {
  std::function<void()> run;
  bool keeps_books = false;
};

// Counts those that are there.
struct Counted {
  static inline std::atomic<int64_t> count = 0;
  Counted() { ++count; }
  ~Counted() { --count; }
  Counted(const Counted&) = delete;
  Counted& operator=(const Counted&) = delete;
};

struct CUgraph_st {
  std::vector<Work> work;
  Counted counted = {};
};
struct CUgraphExec_st {
  std::vector<Work> work;
  Counted counted = {};
};
struct CUstream_st {
  std::unique_ptr<CUgraph_st> capture = {};  // not null: work goes here
  bool invalid = false;                      // something was asked for that cannot be captured
  size_t last = 0, waited = 0;  // how much work stands before the end of its own, and of what it waits for
  std::vector<Work> late = {};  // in nobody's queue yet
};
struct CUevent_st {
  size_t recorded = 0;  // how much work stood before it
  CUstream_st* stream = nullptr;
};

namespace emulator {

struct Device {
  std::recursive_mutex mutex;
  DeviceMemory memory;
  std::deque<Work> queue;
  size_t done = 0;  // work, since the beginning
  std::vector<CUstream_st*> streams;
  std::map<const char*, size_t> pinned;
  std::map<const void*, size_t> dynamic_shared;  // what kernels were allowed
  cudaError_t last_error = cudaSuccess;
  Calls calls;
  int64_t fails_from = INT64_MAX;  // a number of calls.all
  bool failed = false;
  bool lacks_memory_in_capture = false;
};

Device& device();
using Lock = std::lock_guard<std::recursive_mutex>;

// `error`, remembered as the last one.
cudaError_t answer(cudaError_t error);
// The answer to a call that comes after a fault.
std::optional<cudaError_t> fault();

// Does the first `count` pieces of work ever asked for, or all of it.
void work_until(size_t count);
void work_off();
// Puts what a stream keeps for sending into the queue. Null: nothing.
void queue_late_work(CUstream_st* stream);

bool is_capturing();
// Whether a stream is capturing, whose graph is then invalid: calls that wait, or touch memory at once, cannot be part of one.
bool forbidden_in_capture();

}  // namespace emulator
