// In place of backends/registry.cpp: the CPU's backend, and the CUDA backend on the emulated GPU.
#include <cstdlib>

#include "backends/cpu_levels.h"
#include "backends/cuda/cuda_registry.h"
#include "backends/profiling_kernels.h"
#include "tensor/kernels.h"
#include "tensor/profiler.h"

namespace nabla {

namespace {

// Memory returns to the emulated GPU as soon as it is freed, so that every tensor is a separate block, unset
// and guarded. With DINOMALY_EMULATED_CACHE=1 the backend's cache keeps it, as on a GPU.
const bool fresh_memory = std::getenv("DINOMALY_EMULATED_CACHE") == nullptr;

Kernels& plain_kernels(Device device) {
  if (device.is_cpu()) return cpu_kernels();
  Kernels& kernels = cuda_kernels(device.index);
  if (fresh_memory) kernels.allocator().release_cached();
  return kernels;
}

}  // namespace

int gpus_of_machine() { return cuda_device_count(); }

Kernels& kernels_for(Device device) {
  Kernels& kernels = plain_kernels(device);
  return Profiler::running() ? profiled(kernels) : kernels;
}

}  // namespace nabla
