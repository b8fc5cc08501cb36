// y = xhat * weight + bias over the rows of x (rows, D), xhat = (x - mean) * rstd, rstd = 1 / sqrt(var +
// eps). The variance is the biased one, summed in a second pass over the row (the one-pass formula cancels);
// backends/common/layer_norm.h says what else the second pass is for.
// Backward, with g = dy * weight:
//   dx = rstd * (g - mean(g) - xhat * mean(g * xhat)),  dweight = sum over rows of dy * xhat,  dbias = sum of
//   dy.
#include "backends/common/layer_norm.h"

#include <algorithm>
#include <cmath>

#include "backends/common/convert.h"
#include "tensor/tensor.h"
#include "tensor/threads.h"

namespace nabla::cpu {

namespace {

// The same sums in f64, each deviation from the corrected mean: for rows that are nearly constant, huge or
// tiny.
template <class T>
RowMoments<Wide<T>> measure_exactly(const T* x, int64_t width, double eps) {
  const double count = static_cast<double>(width);
  double sum = 0, rest = 0, squares = 0;
#pragma omp simd reduction(+ : sum)
  for (int64_t i = 0; i < width; ++i) sum += static_cast<double>(static_cast<Wide<T>>(x[i]));
  const double mean = sum / count;
#pragma omp simd reduction(+ : rest)
  for (int64_t i = 0; i < width; ++i) rest += static_cast<double>(static_cast<Wide<T>>(x[i])) - mean;
  rest /= count;
#pragma omp simd reduction(+ : squares)
  for (int64_t i = 0; i < width; ++i) {
    const double centred = static_cast<double>(static_cast<Wide<T>>(x[i])) - mean - rest;
    squares += centred * centred;
  }
  return split_moments<Wide<T>>(mean, rest, squares / count, eps);
}

template <class T>
RowMoments<Wide<T>> measure(const T* x, int64_t width, double eps) {
  using W = Wide<T>;
  W sum = 0;
#pragma omp simd reduction(+ : sum)
  for (int64_t i = 0; i < width; ++i) sum += static_cast<W>(x[i]);
  const W mean = sum / static_cast<W>(width);
  W rest = 0, squares = 0;
#pragma omp simd reduction(+ : rest, squares)
  for (int64_t i = 0; i < width; ++i) {
    const W centred = static_cast<W>(x[i]) - mean;
    rest += centred;
    squares += centred * centred;
  }
  const W variance = squares / static_cast<W>(width);
  if (!moments_hold(rest / static_cast<W>(width), variance)) return measure_exactly(x, width, eps);
  return {mean, W(0), W(1) / std::sqrt(variance + static_cast<W>(eps))};
}

template <class T>
void normalise(const T* x, const T* weight, const T* bias, int64_t width, const RowMoments<Wide<T>>& moments,
               T* y) {
  using W = Wide<T>;
  const RowMoments<W> m = moments;
#pragma omp simd
  for (int64_t i = 0; i < width; ++i) {
    const W xhat = (static_cast<W>(x[i]) - m.mean - m.rest) * m.rstd;
    store(y[i], xhat * static_cast<W>(weight[i]) + static_cast<W>(bias[i]));
  }
}

// dx of one row, computed in C; adds the row's share to dweight and dbias.
template <class C, class T>
void backward(const T* dy, const T* x, const T* weight, const RowMoments<Wide<T>>& moments, int64_t width,
              T* dx, Wide<T>* dweight, Wide<T>* dbias) {
  using W = Wide<T>;
  const C mean = moments.mean, rest = moments.rest, rstd = moments.rstd;
  C sum = 0, projection = 0;
#pragma omp simd reduction(+ : sum, projection)
  for (int64_t i = 0; i < width; ++i) {
    const C g = static_cast<C>(static_cast<W>(dy[i])) * static_cast<C>(static_cast<W>(weight[i]));
    sum += g;
    projection += g * (static_cast<C>(static_cast<W>(x[i])) - mean - rest) * rstd;
  }
  sum /= static_cast<C>(width);
  projection /= static_cast<C>(width);
#pragma omp simd
  for (int64_t i = 0; i < width; ++i) {
    const C gradient = static_cast<W>(dy[i]);
    const C xhat = (static_cast<C>(static_cast<W>(x[i])) - mean - rest) * rstd;
    dweight[i] += static_cast<W>(gradient * xhat);
    dbias[i] += static_cast<W>(gradient);
    store(dx[i], rstd * (gradient * static_cast<C>(static_cast<W>(weight[i])) - sum - xhat * projection));
  }
}

}  // namespace

void layer_norm(const Tensor& x, const Tensor& weight, const Tensor& bias, double eps, const Tensor& y,
                const Tensor& mean, const Tensor& rstd) {
  const int64_t rows = x.size(0), width = x.size(1);
  visit_floating(x.dtype(), [&]<class T>(T) {
    const T *in = x.data<T>(), *scale = weight.data<T>(), *shift = bias.data<T>();
    T* out = y.data<T>();
    Wide<T>*means = mean.data<Wide<T>>(), *rstds = rstd.data<Wide<T>>();
    parallel_for(rows, row_grain(width), [&](int64_t begin, int64_t end) {
      for (int64_t row = begin; row < end; ++row) {
        const RowMoments<Wide<T>> moments = measure(in + row * width, width, eps);
        normalise(in + row * width, scale, shift, width, moments, out + row * width);
        means[2 * row] = moments.mean;
        means[2 * row + 1] = moments.rest;
        rstds[row] = moments.rstd;
      }
    });
  });
}

void layer_norm_backward(const Tensor& dy, const Tensor& x, const Tensor& weight, const Tensor& mean,
                         const Tensor& rstd, const Tensor& dx, const Tensor& dweight, const Tensor& dbias) {
  const int64_t rows = x.size(0), width = x.size(1);
  // dweight and dbias are summed over pieces of rows, then over the pieces in order: which rows are a piece
  // depends on their number alone.
  constexpr int64_t most_pieces = 64, least_rows = 32;
  const int64_t piece = std::max(least_rows, (rows + most_pieces - 1) / most_pieces);
  const int64_t pieces = (rows + piece - 1) / piece;
  visit_floating(x.dtype(), [&]<class T>(T) {
    using W = Wide<T>;
    const T *gradient = dy.data<T>(), *in = x.data<T>(), *scale = weight.data<T>();
    const W *means = mean.data<W>(), *rstds = rstd.data<W>();
    T* out = dx.data<T>();
    const Tensor partial = Tensor::zeros({std::max<int64_t>(pieces, 1), 2, width}, dtype_of<W>());
    W* sums = partial.data<W>();
    parallel_for(pieces, row_grain(piece * width), [&](int64_t begin, int64_t end) {
      for (int64_t row = begin * piece; row < std::min(end * piece, rows); ++row) {
        const RowMoments<W> moments{means[2 * row], means[2 * row + 1], rstds[row]};
        const bool steep = static_cast<double>(moments.rstd) > steep_rstd;
        W* own = sums + row / piece * 2 * width;
        (steep ? backward<double, T> : backward<W, T>)(gradient + row * width, in + row * width, scale,
                                                       moments, width, out + row * width, own, own + width);
      }
    });
    for (int64_t p = 1; p < pieces; ++p) {
#pragma omp simd
      for (int64_t i = 0; i < 2 * width; ++i) sums[i] += sums[p * 2 * width + i];
    }
    T *weight_out = dweight.data<T>(), *bias_out = dbias.data<T>();
    for (int64_t i = 0; i < width; ++i) {
      store(weight_out[i], sums[i]);
      store(bias_out[i], sums[width + i]);
    }
  });
}

}  // namespace nabla::cpu
