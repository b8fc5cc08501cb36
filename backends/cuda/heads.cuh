// The heads of a (B, H, N, d) tensor as matrices (N, d), for the attention kernels.
#pragma once

#include <cstdint>

#include "backends/cuda/launch.cuh"
#include "tensor/tensor.h"

namespace nabla {

// In a block of an attention kernel.
constexpr int threads = 256;
constexpr unsigned warps = threads / 32;

// Passed to kernels by value; the tensor must outlive them on the stream.
template <class T>
struct Heads {
  T* data;
  int64_t batch_stride, head_stride, row_stride;
  int64_t heads, length, width;

  explicit Heads(const Tensor& tensor)
      : data(tensor.data<T>()),
        batch_stride(tensor.strides()[0]),
        head_stride(tensor.strides()[1]),
        row_stride(tensor.strides()[2]),
        heads(tensor.size(1)),
        length(tensor.size(2)),
        width(tensor.size(3)) {}

  // Row `index` of head b * H + h.
  __device__ T* row(int64_t head, int64_t index) const {
    return data + head / heads * batch_stride + head % heads * head_stride + index * row_stride;
  }
};

// Matrices in shared memory have rows of width + 1 floats: threads that read one column of many rows then
// meet different banks.
__host__ __device__ inline int padded(int64_t width) { return static_cast<int>(width) + 1; }

struct Identity {
  __device__ float operator()(float x, int) const { return x; }
};

// tile (count, padded(width)) = rows [first, first + count) of a head, each element as change(element, row of the tile), by
// all threads of the block.
template <class T, class Change = Identity>
__device__ inline void load_tile(const Heads<T>& x, int64_t head, int64_t first, int count, float* tile,
                                 Change change = {}) {
  const int width = static_cast<int>(x.width), stride = padded(width);
  for (int i = threadIdx.x; i < count * width; i += blockDim.x) {
    const int row = i / width, column = i % width;
    tile[row * stride + column] = change(static_cast<float>(x.row(head, first + row)[column]), row);
  }
}

__device__ inline void clear_tile(float* tile, int floats) {
  for (int i = threadIdx.x; i < floats; i += blockDim.x) tile[i] = 0;
}

// a . b over `width` floats.
__device__ inline float dot(const float* a, const float* b, int width) {
  float sum = 0;
  for (int c = 0; c < width; ++c) sum += a[c] * b[c];
  return sum;
}

__device__ inline int tile_count(int64_t length, int64_t first, int tile) {
  return static_cast<int>(length - first < tile ? length - first : tile);
}

// The largest tile of at most 32 rows for which `bytes(tile)` fit into shared memory.
template <class Bytes>
int tile_rows(const char* op, int64_t width, const Bytes& bytes) {
  constexpr size_t shared_memory = 96 * 1024;  // of a block, on every GPU since architecture 80
  for (int tile = 32; tile > 0; tile /= 2) {
    if (bytes(tile) <= shared_memory) return tile;
  }
  fail("{}: heads of width {} do not fit into a GPU's shared memory", op, width);
}

}  // namespace nabla
