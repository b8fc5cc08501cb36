// In place of backends/registry.cpp: the CPU's backend, and the CUDA backend on the emulated GPU.
#include "backends/cpu/cpu_kernels.h"
#include "backends/cuda/cuda_registry.h"
#include "backends/profiling_kernels.h"
#include "tensor/profiler.h"
#include "tests/backends/cuda_emulator/emulated_gpu.h"

namespace dinomaly {

namespace {

bool fresh_memory = true;

Kernels& backend_of(Device device) {
  if (device.is_cpu()) {
    static CpuKernels& cpu = *new CpuKernels;
    return cpu;
  }
  Kernels& kernels = cuda_kernels(device.index);
  if (fresh_memory) kernels.allocator().release_cached();
  return kernels;
}

}  // namespace

void set_fresh_memory(bool fresh) { fresh_memory = fresh; }

Kernels& kernels_for(Device device) {
  Kernels& kernels = backend_of(device);
  return Profiler::running() ? profiled(kernels) : kernels;
}

}  // namespace dinomaly
