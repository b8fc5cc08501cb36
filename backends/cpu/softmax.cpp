// Over the rows of x (rows, n):  y = exp(x - max) / sum exp(x - max), or its logarithm x - max - log sum.
// Backward:  dx = y * (dy - sum(dy * y)),  of the logarithm:  dx = dy - exp(y) * sum(dy).
#include <cmath>
#include <limits>

#include "backends/common/convert.h"
#include "tensor/tensor.h"
#include "tensor/threads.h"
#include "tensor/vector_math.h"

namespace nabla::cpu {

namespace {

template <class T>
void forward(const T* x, int64_t n, bool logarithm, T* y) {
  using W = Wide<T>;
  W largest = -std::numeric_limits<W>::infinity();
#pragma omp simd reduction(max : largest)
  for (int64_t i = 0; i < n; ++i) largest = static_cast<W>(x[i]) > largest ? static_cast<W>(x[i]) : largest;
  W sum = 0;
#pragma omp simd reduction(+ : sum)
  for (int64_t i = 0; i < n; ++i) sum += vexp(static_cast<W>(x[i]) - largest);
  if (logarithm) {
    const W normaliser = std::log(sum);
#pragma omp simd
    for (int64_t i = 0; i < n; ++i) store(y[i], static_cast<W>(x[i]) - largest - normaliser);
  } else {
    const W inverse = W(1) / sum;
#pragma omp simd
    for (int64_t i = 0; i < n; ++i) store(y[i], vexp(static_cast<W>(x[i]) - largest) * inverse);
  }
}

template <class T>
void backward(const T* dy, const T* y, int64_t n, bool logarithm, T* dx) {
  using W = Wide<T>;
  W sum = 0;
  if (logarithm) {
#pragma omp simd reduction(+ : sum)
    for (int64_t i = 0; i < n; ++i) sum += static_cast<W>(dy[i]);
#pragma omp simd
    for (int64_t i = 0; i < n; ++i) store(dx[i], static_cast<W>(dy[i]) - vexp(static_cast<W>(y[i])) * sum);
  } else {
#pragma omp simd reduction(+ : sum)
    for (int64_t i = 0; i < n; ++i) sum += static_cast<W>(dy[i]) * static_cast<W>(y[i]);
#pragma omp simd
    for (int64_t i = 0; i < n; ++i) store(dx[i], static_cast<W>(y[i]) * (static_cast<W>(dy[i]) - sum));
  }
}

}  // namespace

void softmax(const Tensor& x, bool logarithm, const Tensor& y) {
  const int64_t rows = x.size(0), n = x.size(1);
  visit_floating(x.dtype(), [&]<class T>(T) {
    const T* in = x.data<T>();
    T* out = y.data<T>();
    parallel_for(rows, row_grain(n), [&](int64_t begin, int64_t end) {
      for (int64_t row = begin; row < end; ++row) forward(in + row * n, n, logarithm, out + row * n);
    });
  });
}

void softmax_backward(const Tensor& dy, const Tensor& y, bool logarithm, const Tensor& dx) {
  const int64_t rows = y.size(0), n = y.size(1);
  visit_floating(y.dtype(), [&]<class T>(T) {
    const T *gradient = dy.data<T>(), *value = y.data<T>();
    T* out = dx.data<T>();
    parallel_for(rows, row_grain(n), [&](int64_t begin, int64_t end) {
      for (int64_t row = begin; row < end; ++row) {
        backward(gradient + row * n, value + row * n, n, logarithm, out + row * n);
      }
    });
  });
}

}  // namespace nabla::cpu
