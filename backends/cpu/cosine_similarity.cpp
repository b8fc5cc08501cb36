// Over the rows of a and b (rows, n):  cos = a . b / (ca cb)  with ca = max(|a|, eps), cb = max(|b|, eps).
// Backward, as torch.nn.functional.cosine_similarity has it: the clamp is no part of the derivative, so the
// norm is differentiated where it is clamped, too (and 0 / 0 in a row of zeros counts as 0):
//   da = dcos * (b / (ca cb) - cos / ca * a / |a|),  db likewise.
// The three sums are taken in f64: a distance 1 - cos near 0 is a small difference, rows are long, and the
// squares of f32 do not overflow there.
#include <algorithm>
#include <cmath>

#include "backends/common/convert.h"
#include "backends/common/cosine.h"
#include "tensor/tensor.h"
#include "tensor/threads.h"

namespace nabla::cpu {

namespace {

template <class T>
Cosine measure(const T* a, const T* b, int64_t n, double eps) {
  double dot = 0, square_a = 0, square_b = 0;
#pragma omp simd reduction(+ : dot, square_a, square_b)
  for (int64_t i = 0; i < n; ++i) {
    const double x = static_cast<Wide<T>>(a[i]), y = static_cast<Wide<T>>(b[i]);
    dot += x * y;
    square_a += x * x;
    square_b += y * y;
  }
  Cosine c{0, std::sqrt(square_a), std::sqrt(square_b), 0, 0};
  c.clamped_a = std::max(c.norm_a, eps);
  c.clamped_b = std::max(c.norm_b, eps);
  c.value = dot / c.clamped_a / c.clamped_b;
  return c;
}

// One row's gradient, computed in C.
template <class C, class T>
void combine(const T* own, const T* other, const CosineFactors& factors, int64_t n, T* dx) {
  using W = Wide<T>;
  const C f = static_cast<C>(factors.own), g = static_cast<C>(factors.other);
#pragma omp simd
  for (int64_t i = 0; i < n; ++i) {
    store(dx[i], g * static_cast<C>(static_cast<W>(other[i])) + f * static_cast<C>(static_cast<W>(own[i])));
  }
}

template <class T>
void gradient(const T* own, const T* other, const CosineFactors& factors, int64_t n, T* dx) {
  (factors_fit<Wide<T>>(factors) ? combine<Wide<T>, T> : combine<double, T>)(own, other, factors, n, dx);
}

}  // namespace

void cosine_similarity(const Tensor& a, const Tensor& b, double eps, const Tensor& out) {
  const int64_t rows = a.size(0), n = a.size(1);
  visit_floating(a.dtype(), [&]<class T>(T) {
    const T *left = a.data<T>(), *right = b.data<T>();
    T* cosines = out.data<T>();
    parallel_for(rows, row_grain(n), [&](int64_t begin, int64_t end) {
      for (int64_t row = begin; row < end; ++row) {
        cosines[row] = T(static_cast<Wide<T>>(measure(left + row * n, right + row * n, n, eps).value));
      }
    });
  });
}

void cosine_similarity_backward(const Tensor& dout, const Tensor& a, const Tensor& b, double eps,
                                const Tensor& da, const Tensor& db) {
  const int64_t rows = a.size(0), n = a.size(1);
  visit_floating(a.dtype(), [&]<class T>(T) {
    const T *gradients = dout.data<T>(), *left = a.data<T>(), *right = b.data<T>();
    T* left_out = da.defined() ? da.data<T>() : nullptr;
    T* right_out = db.defined() ? db.data<T>() : nullptr;
    parallel_for(rows, row_grain(n), [&](int64_t begin, int64_t end) {
      for (int64_t row = begin; row < end; ++row) {
        const T *x = left + row * n, *y = right + row * n;
        const Cosine c = measure(x, y, n, eps);
        const double dcos = static_cast<Wide<T>>(gradients[row]);
        if (left_out) gradient(x, y, cosine_factors(dcos, c, c.norm_a, c.clamped_a), n, left_out + row * n);
        if (right_out) gradient(y, x, cosine_factors(dcos, c, c.norm_b, c.clamped_b), n, right_out + row * n);
      }
    });
  });
}

}  // namespace nabla::cpu
