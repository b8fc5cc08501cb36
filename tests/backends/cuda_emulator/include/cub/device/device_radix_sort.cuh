// CUB's stable sort of pairs by bits [begin_bit, end_bit) of the keys.
#pragma once

#include <cuda_runtime_api.h>

#include <algorithm>
#include <numeric>
#include <vector>

namespace cub {

struct DeviceRadixSort {
  template <class Key, class Value>
  static cudaError_t SortPairs(void* memory, size_t& bytes, const Key* keys, Key* sorted_keys,
                               const Value* values, Value* sorted_values, int count, int begin_bit,
                               int end_bit, cudaStream_t stream) {
    if (memory == nullptr) {
      bytes = 256;
      return cudaSuccess;
    }
    return emulator::enqueue(stream, [=] {
      const Key mask = end_bit - begin_bit < 64 ? (Key{1} << (end_bit - begin_bit)) - 1 : ~Key{0};
      std::vector<int> order(static_cast<size_t>(count));
      std::iota(order.begin(), order.end(), 0);
      std::stable_sort(order.begin(), order.end(), [&](int a, int b) {
        return (keys[a] >> begin_bit & mask) < (keys[b] >> begin_bit & mask);
      });
      for (int i = 0; i < count; ++i) {
        sorted_keys[i] = keys[order[i]];
        sorted_values[i] = values[order[i]];
      }
    });
  }
};

}  // namespace cub
