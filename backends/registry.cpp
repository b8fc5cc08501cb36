// Which backends exist: the only file that names them.
#include "backends/cpu_levels.h"
#include "backends/profiling_kernels.h"
#include "tensor/kernels.h"
#include "tensor/profiler.h"
#ifdef DINOMALY_WITH_CUDA
#include "backends/cuda/cuda_registry.h"
#endif

namespace nabla {

namespace {

Kernels& plain_kernels(Device device) {
  if (device.is_cpu()) return cpu_kernels();
#ifdef DINOMALY_WITH_CUDA
  return cuda_kernels(device.index);
#else
  fail_input("device {}: this program was built without CUDA", device);
#endif
}

}  // namespace

int gpus_of_machine() {
#ifdef DINOMALY_WITH_CUDA
  return cuda_device_count();
#else
  return 0;
#endif
}

Kernels& kernels_for(Device device) {
  Kernels& kernels = plain_kernels(device);
  return Profiler::running() ? profiled(kernels) : kernels;
}

}  // namespace nabla
