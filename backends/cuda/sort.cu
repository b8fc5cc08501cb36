// sort and topk of rows, by CUB's radix sort, which is stable. A value becomes an unsigned key that sorts as
// wanted: NaN after everything else, -0 and 0 equal. Narrow keys share 64 bits with their row, so one sort
// does all rows; 64-bit keys are sorted first, then, stably, by row.
#include <bit>
#include <cub/device/device_radix_sort.cuh>
#include <limits>
#include <utility>

#include "backends/common/convert.h"
#include "backends/cuda/cuda_kernels.h"
#include "backends/cuda/launch.cuh"

namespace nabla {

namespace {

template <class T>
inline constexpr bool is_narrow = sizeof(Compute<T>) <= 4;

// The key of `value` in ascending order: 32 bits for narrow types.
template <class T>
__device__ uint64_t ascending_key(T stored) {
  const auto value = static_cast<Compute<T>>(stored);
  if constexpr (std::is_same_v<T, uint8_t>) {
    return value;
  } else if constexpr (std::is_same_v<T, int8_t>) {
    return static_cast<uint64_t>(value + 128);
  } else if constexpr (std::is_same_v<T, int64_t>) {
    return static_cast<uint64_t>(value) ^ (uint64_t{1} << 63);
  } else if constexpr (std::is_same_v<T, double>) {
    const uint64_t bits = __double_as_longlong(value == 0 ? 0.0 : value), sign = uint64_t{1} << 63;
    return bits & sign ? ~bits : bits | sign;
  } else {
    const uint32_t bits = __float_as_uint(value == 0 ? 0.0f : value), sign = 1u << 31;
    return bits & sign ? ~bits : bits | sign;
  }
}

template <class T>
__device__ uint64_t order_key(T value, bool descending) {
  constexpr uint64_t largest = is_narrow<T> ? uint64_t{0xffffffffu} : ~uint64_t{0};
  const auto x = static_cast<Compute<T>>(value);
  if (x != x) return largest;  // no number has this key, in either order
  const uint64_t key = ascending_key(value);
  return descending ? largest - key : key;
}

// Narrow: (row, key); wide: key.
template <class T>
__global__ void sort_key_kernel(int64_t count, int64_t width, bool descending, const T* x, uint64_t* keys,
                                uint32_t* places) {
  for (int64_t i = first_index(); i < count; i += index_step()) {
    const uint64_t row = static_cast<uint64_t>(i / width);
    keys[i] = order_key(x[i], descending) | (is_narrow<T> ? row << 32 : 0);
    places[i] = static_cast<uint32_t>(i);
  }
}

__global__ void row_kernel(int64_t count, int64_t width, const uint32_t* places, uint64_t* keys) {
  for (int64_t i = first_index(); i < count; i += index_step()) keys[i] = places[i] / width;
}

// The first `kept` of each row, which lie in order.
template <class T>
__global__ void gather_kernel(int64_t rows, int64_t width, int64_t kept, const T* x, const uint32_t* places,
                              T* values, int64_t* indices) {
  for (int64_t i = first_index(); i < rows * kept; i += index_step()) {
    const int64_t row = i / kept, place = places[row * width + i % kept];
    values[i] = x[place];
    indices[i] = place - row * width;
  }
}

template <class T>
__global__ void pick_kernel(const T* x, const uint32_t* places, const int64_t* k, T* out) {
  *out = x[places[*k - 1]];
}

// Keys and places, and room for them in another order.
struct Buffers {
  Tensor keys, other_keys, places, other_places;

  Buffers(int64_t count, Device device)
      : keys(Tensor::empty({count * 8}, Dtype::u8, device)),
        other_keys(Tensor::empty({count * 8}, Dtype::u8, device)),
        places(Tensor::empty({count * 4}, Dtype::u8, device)),
        other_places(Tensor::empty({count * 4}, Dtype::u8, device)) {}
  uint64_t* key() const { return static_cast<uint64_t*>(keys.raw_data()); }
  uint32_t* place() const { return static_cast<uint32_t*>(places.raw_data()); }
};

// Sorts (key, place) by the lowest `bits` of the keys.
void radix_sort(Buffers& buffers, int64_t count, int bits, cudaStream_t stream) {
  const auto run = [&](void* memory, size_t& bytes) {
    check_cuda(cub::DeviceRadixSort::SortPairs(memory, bytes, static_cast<const uint64_t*>(buffers.key()),
                                               static_cast<uint64_t*>(buffers.other_keys.raw_data()),
                                               static_cast<const uint32_t*>(buffers.place()),
                                               static_cast<uint32_t*>(buffers.other_places.raw_data()),
                                               static_cast<int>(count), 0, bits, stream),
               "sort");
  };
  size_t bytes = 0;
  run(nullptr, bytes);  // returns how much memory it needs
  const Tensor memory =
      Tensor::empty({static_cast<int64_t>(std::max<size_t>(bytes, 1))}, Dtype::u8, buffers.keys.device());
  run(memory.raw_data(), bytes);
  std::swap(buffers.keys, buffers.other_keys);
  std::swap(buffers.places, buffers.other_places);
}

// The places of all elements of x (rows, width), in the order of each row.
template <class T>
Buffers sorted_places(const Tensor& x, bool descending, cudaStream_t stream) {
  const int64_t rows = x.size(0), width = x.size(1), count = x.numel();
  check(count <= std::numeric_limits<int32_t>::max(), "sort: {} elements are too many for a GPU", count);
  Buffers buffers(count, x.device());
  launch("sort", stream, blocks_for(count), block_threads, 0, sort_key_kernel<T>, count, width, descending,
         static_cast<const T*>(x.data<T>()), buffers.key(), buffers.place());
  const int row_bits = static_cast<int>(std::bit_width(static_cast<uint64_t>(rows - 1)));
  radix_sort(buffers, count, is_narrow<T> ? 32 + row_bits : 64, stream);
  if (!is_narrow<T> && rows > 1) {
    launch("sort", stream, blocks_for(count), block_threads, 0, row_kernel, count, width,
           static_cast<const uint32_t*>(buffers.place()), buffers.key());
    radix_sort(buffers, count, row_bits, stream);
  }
  return buffers;
}

// To tune: topk by a radix select, which need not put the rest in order.
template <class T>
void sort_rows(const Tensor& x, int64_t kept, bool descending, const Tensor& values, const Tensor& indices,
               cudaStream_t stream) {
  const int64_t rows = x.size(0), width = x.size(1);
  if (x.numel() == 0) return;
  const Buffers buffers = sorted_places<T>(x, descending, stream);
  launch("sort", stream, blocks_for(rows * kept), block_threads, 0, gather_kernel<T>, rows, width, kept,
         static_cast<const T*>(x.data<T>()), static_cast<const uint32_t*>(buffers.place()), values.data<T>(),
         indices.data<int64_t>());
}

}  // namespace

void CudaKernels::sort(const Tensor& x, bool descending, const Tensor& values, const Tensor& indices) {
  visit(x.dtype(), [&]<class T>(T) { sort_rows<T>(x, x.size(1), descending, values, indices, stream_); });
}

void CudaKernels::topk(const Tensor& x, int64_t k, bool largest, const Tensor& values,
                       const Tensor& indices) {
  visit(x.dtype(), [&]<class T>(T) { sort_rows<T>(x, k, largest, values, indices, stream_); });
}

void CudaKernels::kth_largest(const Tensor& x, const Tensor& k, const Tensor& out) {
  visit(x.dtype(), [&]<class T>(T) {
    const Buffers buffers = sorted_places<T>(x.reshape({1, x.numel()}), true, stream_);
    launch("kth_largest", stream_, 1, 1, 0, pick_kernel<T>, static_cast<const T*>(x.data<T>()),
           static_cast<const uint32_t*>(buffers.place()), k.data<int64_t>(), out.data<T>());
  });
}

}  // namespace nabla
