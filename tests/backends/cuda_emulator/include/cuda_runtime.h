// What a kernel uses: its thread's indices, shared memory, barriers, shuffles. Included before every .cu
// file, as nvcc does with its own.
#pragma once

#include <cuda_runtime_api.h>

#include <cmath>
#include <cstring>
#include <source_location>
#include <tuple>
#include <utility>

#define __global__
#define __device__
#define __host__
#define __shared__ static  // one block runs at a time

struct uint3 {
  unsigned x, y, z;
};
inline uint3 threadIdx, blockIdx;
inline dim3 blockDim, gridDim;

namespace emulator {

using Place = std::source_location;

// The dynamic shared memory of the running block.
float* dynamic_shared();
// Wait until all threads of the block, or lanes of the warp, are at `place`. A shuffle's lanes wait, too, but what they wrote
// to memory before is not said to be there after it.
void sync_block(const Place& place);
void sync_warp(const Place& place, bool orders_memory);
// Where lane `lane` of this warp puts what others read in the exchange under way.
constexpr size_t slot_bytes = 16;
void* exchange_slot(unsigned lane);
void end_exchange();

template <class T>
T exchange(const T& value, unsigned from, const Place& place) {
  static_assert(sizeof(T) <= slot_bytes);
  std::memcpy(exchange_slot(threadIdx.x % 32), &value, sizeof value);
  sync_warp(place, false);
  T result;
  std::memcpy(&result, exchange_slot(from), sizeof result);
  end_exchange();
  return result;
}

}  // namespace emulator

inline void __syncthreads(emulator::Place place = emulator::Place::current()) { emulator::sync_block(place); }
inline void __syncwarp(emulator::Place place = emulator::Place::current()) {
  emulator::sync_warp(place, true);
}
template <class T>
T __shfl_xor_sync(unsigned, T value, int mask, emulator::Place place = emulator::Place::current()) {
  return emulator::exchange(value, threadIdx.x % 32 ^ static_cast<unsigned>(mask), place);
}
template <class T>
T __shfl_sync(unsigned, T value, int lane, emulator::Place place = emulator::Place::current()) {
  return emulator::exchange(value, static_cast<unsigned>(lane) % 32, place);
}

inline unsigned __float_as_uint(float value) {
  unsigned bits;
  std::memcpy(&bits, &value, sizeof bits);
  return bits;
}
inline long long __double_as_longlong(double value) {
  long long bits;
  std::memcpy(&bits, &value, sizeof bits);
  return bits;
}

template <class... Parameters, class... Arguments>
cudaError_t cudaLaunchKernelEx(const cudaLaunchConfig_t* config, void (*kernel)(Parameters...),
                               Arguments&&... arguments) {
  const std::tuple<Parameters...> values(std::forward<Arguments>(arguments)...);
  return emulator::launch(*config, reinterpret_cast<const void*>(kernel),
                          [kernel, values] { std::apply(kernel, values); });
}
