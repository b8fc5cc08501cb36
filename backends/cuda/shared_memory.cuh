// A header of its own, since this one declaration is beyond C++: tests/backends/cuda_emulator has another one.
#pragma once

namespace nabla {

// The dynamic shared memory of the running block, as large as launch() was told; not cleared.
__device__ inline float* shared_memory() {
  extern __shared__ float memory[];
  return memory;
}

}  // namespace nabla
