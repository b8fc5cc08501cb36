// A device as everybody but the ops sees it: its memory, its work in progress. What it can compute is tensor/kernels.h,
// apart so that a new kernel concerns only those who call kernels.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "tensor/allocator.h"
#include "tensor/device.h"

namespace nabla {

// Work that a device has recorded and can do again with far less effort of the host. Whoever holds it keeps
// all tensors alive, and where they are, that the work reads and that were made before it.
class Recording {
 public:
  virtual ~Recording() = default;
  // Enqueues the work on what its tensors hold now. dropout() draws its numbers `random_blocks` blocks
  // further on than when the work was recorded.
  virtual void replay(uint64_t random_blocks) = 0;
};

class Backend {
 public:
  virtual ~Backend() = default;
  virtual Device device() const = 0;
  virtual CachingAllocator& allocator() = 0;
  // Gives memory back to the system that later work can do without: packed copies of frozen matrices, which
  // the next product makes again, and free blocks of the allocator. For the end of a phase: only while no kernel runs.
  virtual void trim() = 0;
  // Returns when everything asked for so far is done (CPU: at once).
  virtual void synchronize() = 0;
  // Calls work(), which then is not done but recorded; null, and nothing called, where a device
  // cannot record. The work reads nothing on the host and takes nothing from there, and has been done
  // before, so that whatever is made at the first time is there. Memory it takes stays its own while
  // the recording lives.
  virtual std::unique_ptr<Recording> record(const std::function<void()>& work) = 0;
};

// The backend of a device. Throws where the program was built without it or the device is absent.
Backend& backend_for(Device device);

// How many GPUs there are on this machine; 0 where the program was built without CUDA.
int gpus_of_machine();

// What the CPU's kernels in use were compiled for: "avx512_bf16", "avx512", "avx2", "baseline" (any x86-64,
// or the one level of another processor), or "native", the processor of the machine that compiled this
// program. The best that runs here, or the one that the environment variable DINOMALY_CPU_LEVEL names; throws
// InputError where that one is not in the program or does not run.
std::string cpu_level();

}  // namespace nabla
