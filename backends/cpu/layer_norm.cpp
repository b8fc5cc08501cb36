// y = xhat * weight + bias over the rows of x (rows, D), xhat = (x - mean) * rstd, rstd = 1 / sqrt(var +
// eps). The variance is the biased one, summed in a second pass over the row (the one-pass formula cancels).
// Backward, with g = dy * weight:
//   dx = rstd * (g - mean(g) - xhat * mean(g * xhat)),  dweight = sum over rows of dy * xhat,  dbias = sum of
//   dy.
#include <cmath>

#include "backends/common/convert.h"
#include "backends/common/parallel.h"
#include "tensor/tensor.h"

namespace nabla::cpu {

namespace {

template <class T>
void forward(const T* x, const T* weight, const T* bias, int64_t width, double eps, T* y, Wide<T>* mean_out,
             Wide<T>* rstd_out) {
  using W = Wide<T>;
  W sum = 0;
#pragma omp simd reduction(+ : sum)
  for (int64_t i = 0; i < width; ++i) sum += static_cast<W>(x[i]);
  const W mean = sum / static_cast<W>(width);
  W squares = 0;
#pragma omp simd reduction(+ : squares)
  for (int64_t i = 0; i < width; ++i) {
    const W centred = static_cast<W>(x[i]) - mean;
    squares += centred * centred;
  }
  const W rstd = W(1) / std::sqrt(squares / static_cast<W>(width) + static_cast<W>(eps));
#pragma omp simd
  for (int64_t i = 0; i < width; ++i) {
    store(y[i], (static_cast<W>(x[i]) - mean) * rstd * static_cast<W>(weight[i]) + static_cast<W>(bias[i]));
  }
  *mean_out = mean;
  *rstd_out = rstd;
}

// dx of one row; adds the row's share to dweight and dbias.
template <class T>
void backward(const T* dy, const T* x, const T* weight, Wide<T> mean, Wide<T> rstd, int64_t width, T* dx,
              Wide<T>* dweight, Wide<T>* dbias) {
  using W = Wide<T>;
  W sum = 0, projection = 0;
#pragma omp simd reduction(+ : sum, projection)
  for (int64_t i = 0; i < width; ++i) {
    const W g = static_cast<W>(dy[i]) * static_cast<W>(weight[i]);
    sum += g;
    projection += g * (static_cast<W>(x[i]) - mean) * rstd;
  }
  sum /= static_cast<W>(width);
  projection /= static_cast<W>(width);
#pragma omp simd
  for (int64_t i = 0; i < width; ++i) {
    const W gradient = static_cast<W>(dy[i]);
    const W xhat = (static_cast<W>(x[i]) - mean) * rstd;
    dweight[i] += gradient * xhat;
    dbias[i] += gradient;
    store(dx[i], rstd * (gradient * static_cast<W>(weight[i]) - sum - xhat * projection));
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
        forward(in + row * width, scale, shift, width, eps, out + row * width, means + row, rstds + row);
      }
    });
  });
}

void layer_norm_backward(const Tensor& dy, const Tensor& x, const Tensor& weight, const Tensor& mean,
                         const Tensor& rstd, const Tensor& dx, const Tensor& dweight, const Tensor& dbias) {
  const int64_t rows = x.size(0), width = x.size(1);
  visit_floating(x.dtype(), [&]<class T>(T) {
    using W = Wide<T>;
    const T *gradient = dy.data<T>(), *in = x.data<T>(), *scale = weight.data<T>();
    const W *means = mean.data<W>(), *rstds = rstd.data<W>();
    T* out = dx.data<T>();
    // Each thread sums dweight and dbias of its rows; the sums are then added in the threads' order, so the
    // result depends on nothing but their number.
    const int64_t threads = omp_get_max_threads();
    const Tensor partial = Tensor::zeros({threads, 2, width}, dtype_of<W>());
    W* sums = partial.data<W>();
    parallel_for(rows, row_grain(width), [&](int64_t begin, int64_t end) {
      W* own = sums + (end - begin == rows ? 0 : omp_get_thread_num()) * 2 * width;
      for (int64_t row = begin; row < end; ++row) {
        backward(gradient + row * width, in + row * width, scale, means[row], rstds[row], width,
                 out + row * width, own, own + width);
      }
    });
    T *weight_out = dweight.data<T>(), *bias_out = dbias.data<T>();
    for (int64_t i = 0; i < width; ++i) {
      W weight_sum = 0, bias_sum = 0;
      for (int64_t t = 0; t < threads; ++t) {
        weight_sum += sums[t * 2 * width + i];
        bias_sum += sums[(t * 2 + 1) * width + i];
      }
      store(weight_out[i], weight_sum);
      store(bias_out[i], bias_sum);
    }
  });
}

}  // namespace nabla::cpu
