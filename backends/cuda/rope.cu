// Rotary position embedding: in each row of x (B, H, N, d), elements j and j + d/2 turn by the angle a[token, j],
//   y[j] = x[j] cos a - x[j + d/2] sin a,   y[j + d/2] = x[j + d/2] cos a + x[j] sin a,   j < d/2,
// whose cosines and sines (P, d/2) belong to the last P tokens; the first N - P rows are copied. The inverse, and
// the derivative, turns by -a.
#include "backends/common/convert.h"
#include "backends/cuda/cuda_kernels.h"
#include "backends/cuda/heads.cuh"
#include "backends/cuda/launch.cuh"

namespace nabla {

namespace {

// One thread per pair. Pairs are numbered token by token and head by head, so that neighbouring threads of a packed
// projection read neighbouring elements. x and y may be the same tensor. To tune: several pairs per load.
template <class T>
__global__ void rope_kernel(Heads<const T> x, const T* cosines, const T* sines, float sign, int64_t still,
                            Heads<T> y, int64_t count) {
  const int64_t pairs = x.width / 2;
  for (int64_t i = first_index(); i < count; i += index_step()) {
    const int64_t j = i % pairs, head_of_entry = i / pairs % x.heads, token = i / pairs / x.heads % x.length;
    const int64_t head = i / pairs / x.heads / x.length * x.heads + head_of_entry;
    const T* row = x.row(head, token);
    T* out = y.row(head, token);
    const bool turns = token >= still;
    const int64_t place = (token - still) * pairs + j;
    const float c = turns ? static_cast<float>(cosines[place]) : 1.0f;
    const float s = turns ? sign * static_cast<float>(sines[place]) : 0.0f;
    const float first = static_cast<float>(row[j]), second = static_cast<float>(row[j + pairs]);
    store(out[j], first * c - second * s);
    store(out[j + pairs], second * c + first * s);
  }
}

}  // namespace

void CudaKernels::rope(const Tensor& x, const Tensor& cosines, const Tensor& sines, bool inverse,
                       const Tensor& y) {
  visit_computed("rope", x.dtype(), [&]<class T>(T) {
    const int64_t count = x.numel() / 2;
    launch("rope", stream_, blocks_for(count), block_threads, 0, rope_kernel<T>, Heads<const T>(x),
           cosines.data<T>(), sines.data<T>(), inverse ? -1.0f : 1.0f, x.size(2) - cosines.size(0),
           Heads<T>(y), count);
  });
}

}  // namespace nabla
