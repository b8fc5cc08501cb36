// Rotary position embedding: in each row of x (B, H, N, d), elements j and j + d/2 turn by the angle a[token, j],
//   y[j] = x[j] cos a - x[j + d/2] sin a,   y[j + d/2] = x[j + d/2] cos a + x[j] sin a,   j < d/2,
// whose cosines and sines (P, d/2) belong to the last P tokens; the first N - P rows are copied. The inverse, and
// the derivative, turns by -a. Per pair: 4 products, 2 sums.
#include "backends/cpu/heads.h"
#include "tensor/tensor.h"
#include "tensor/threads.h"

namespace nabla::cpu {

namespace {

// x and y may be the same row.
template <class T>
void turn(const T* x, const T* cosines, const T* sines, Wide<T> sign, int64_t pairs, T* y) {
#pragma omp simd
  for (int64_t j = 0; j < pairs; ++j) {
    const auto first = static_cast<Wide<T>>(x[j]), second = static_cast<Wide<T>>(x[j + pairs]);
    const auto c = static_cast<Wide<T>>(cosines[j]), s = sign * static_cast<Wide<T>>(sines[j]);
    store(y[j], first * c - second * s);
    store(y[j + pairs], second * c + first * s);
  }
}

}  // namespace

void rope(const Tensor& x, const Tensor& cosines, const Tensor& sines, bool inverse, const Tensor& y) {
  const int64_t batch = x.size(0), count = x.size(1), tokens = x.size(2), width = x.size(3);
  const int64_t pairs = width / 2, still = tokens - cosines.size(0);
  visit_floating(x.dtype(), [&]<class T>(T) {
    const Heads<T> from(x), to(y);
    const T *c = cosines.data<T>(), *s = sines.data<T>();
    const Wide<T> sign = inverse ? -1 : 1;
    // Token after token, since the heads of one lie side by side in a packed projection.
    parallel_for(batch * tokens, row_grain(count * width), [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i) {
        const int64_t entry = i / tokens, token = i % tokens, table = (token - still) * pairs;
        for (int64_t head = entry * count; head < (entry + 1) * count; ++head) {
          const T* row = from.row(head, token);
          T* out = to.row(head, token);
          if (token >= still)
            turn(row, c + table, s + table, sign, pairs, out);
          else if (row != out)
            std::copy_n(row, width, out);
        }
      }
    });
  });
}

}  // namespace nabla::cpu
