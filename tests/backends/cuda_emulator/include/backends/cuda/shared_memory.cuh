// In place of backends/cuda/shared_memory.cuh.
#pragma once

#include <cuda_runtime.h>

namespace nabla {

inline float* shared_memory() { return emulator::dynamic_shared(); }

}  // namespace nabla
