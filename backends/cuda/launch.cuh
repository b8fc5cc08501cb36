// Starting kernels, and what threads of a block do together.
#pragma once

#include <algorithm>
#include <cstdint>

#include "backends/common/strided_loop.h"
#include "backends/cuda/cuda.h"
#include "backends/cuda/shared_memory.cuh"

namespace nabla {

inline constexpr int block_threads = 256;

// Starts kernel(args...) with `shared` bytes of dynamic shared memory; nothing for 0 blocks. Every GPU since
// architecture 80 allows 96 KiB. Not written as <<<...>>>, so that a C++ compiler can read the .cu files too.
template <class... Parameters, class... Arguments>
void launch(const char* op, cudaStream_t stream, int64_t blocks, int threads, size_t shared,
            void (*kernel)(Parameters...), const Arguments&... arguments) {
  constexpr size_t always_allowed = 48 * 1024;
  if (blocks <= 0) return;
  check(blocks <= INT32_MAX, "{}: {} blocks are too many for one kernel", op, blocks);
  if (shared > always_allowed) {
    check_cuda(cudaFuncSetAttribute(reinterpret_cast<const void*>(kernel),
                                    cudaFuncAttributeMaxDynamicSharedMemorySize, static_cast<int>(shared)),
               op);
  }
  cudaLaunchConfig_t config{};
  config.gridDim = dim3{static_cast<unsigned>(blocks), 1, 1};
  config.blockDim = dim3{static_cast<unsigned>(threads), 1, 1};
  config.dynamicSmemBytes = shared;
  config.stream = stream;
  check_cuda(cudaLaunchKernelEx(&config, kernel, arguments...), op);
}

inline int64_t ceil_divide(int64_t a, int64_t b) { return (a + b - 1) / b; }

// Blocks for a loop of first_index() and index_step() over `count` elements: enough to fill any GPU.
inline int64_t blocks_for(int64_t count) {
  constexpr int64_t most = 1 << 16;
  return std::min(ceil_divide(count, block_threads), most);
}
__device__ inline int64_t first_index() {
  return static_cast<int64_t>(blockIdx.x) * blockDim.x + threadIdx.x;
}
__device__ inline int64_t index_step() { return static_cast<int64_t>(gridDim.x) * blockDim.x; }

// Where element `index` (row-major) lies in each array.
template <int count>
__device__ inline typename StridedLoop<count>::Offsets offsets_of(const StridedLoop<count>& loop,
                                                                  int64_t index) {
  typename StridedLoop<count>::Offsets offsets{};
  for (int axis = loop.rank - 1; axis >= 0; --axis) {
    // No division on the outermost axis, so none at all where everything is contiguous.
    const int64_t place = axis > 0 ? index % loop.sizes[axis] : index;
    if (axis > 0) index /= loop.sizes[axis];
    for (int k = 0; k < count; ++k) offsets[k] += place * loop.strides[axis][k];
  }
  return offsets;
}

// op over the values of a warp's lanes; all lanes call it and receive the result.
template <class Value, class Op>
__device__ inline Value warp_reduce(Value value, Op op) {
  for (int offset = 16; offset > 0; offset /= 2) {
    value = op(value, __shfl_xor_sync(0xffffffffu, value, offset));
  }
  return value;
}

// op over the values of all threads of a block, in a fixed order; all threads call it and receive the result.
// The block has a multiple of 32 threads.
template <class Value, class Op>
__device__ inline Value block_reduce(Value value, Op op) {
  __shared__ Value warps[32];
  value = warp_reduce(value, op);
  __syncthreads();  // another call may still be reading
  if (threadIdx.x % 32 == 0) warps[threadIdx.x / 32] = value;
  __syncthreads();
  Value result = warps[0];
  for (unsigned warp = 1; warp < blockDim.x / 32; ++warp) result = op(result, warps[warp]);
  return result;
}

}  // namespace nabla
