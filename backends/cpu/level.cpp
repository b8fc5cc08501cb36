// The way into the kernels of one level, the only one where there are several: cmake/cpu_levels.cmake.
#include "backends/cpu/cpu_kernels.h"
#include "backends/cpu/onednn.h"

extern "C" nabla::Kernels* CPU_LEVEL_FACTORY(bool forced) {
  if (forced) nabla::onednn::keep_to_level();
  return new nabla::CpuKernels;
}
