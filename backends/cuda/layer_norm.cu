// y = xhat * weight + bias over the rows of x (rows, D), xhat = (x - mean) * rstd, rstd = 1 / sqrt(var +
// eps). The variance is the biased one, summed in a second pass over the row (the one-pass formula cancels);
// backends/common/layer_norm.h says what else the second pass is for.
// Backward, with g = dy * weight:
//   dx = rstd * (g - mean(g) - xhat * mean(g * xhat)),  dweight = sum over rows of dy * xhat,  dbias = sum of
//   dy.
// The sums over rows: each piece of 128 rows becomes one row of sums, then the pieces are added in order.
#include <cmath>

#include "backends/common/convert.h"
#include "backends/common/layer_norm.h"
#include "backends/cuda/cuda_kernels.h"
#include "backends/cuda/launch.cuh"
#include "tensor/elementwise.h"

namespace nabla {

namespace {

constexpr int row_threads = 128;
constexpr int64_t piece = 128;  // rows

// sum over the row's elements of of(element), for all threads of a block.
template <class Sum, class T, class Of>
__device__ Sum row_sum(const T* x, int64_t width, const Of& of) {
  Sum sum = 0;
  for (int64_t i = threadIdx.x; i < width; i += blockDim.x)
    sum += of(i, static_cast<Sum>(static_cast<float>(x[i])));
  return block_reduce(sum, elementwise::Add{});
}

// By all threads of a block, each of which receives the result.
template <class T>
__device__ RowMoments<float> measure(const T* x, int64_t width, double eps) {
  const float count = static_cast<float>(width);
  const float mean = row_sum<float>(x, width, [](int64_t, float value) { return value; }) / count;
  float rest = 0, squares = 0;
  for (int64_t i = threadIdx.x; i < width; i += blockDim.x) {
    const float centred = static_cast<float>(x[i]) - mean;
    rest += centred;
    squares += centred * centred;
  }
  rest = block_reduce(rest, elementwise::Add{}) / count;
  const float variance = block_reduce(squares, elementwise::Add{}) / count;
  if (moments_hold(rest, variance)) {
    return {mean, 0.0f, 1.0f / std::sqrt(variance + static_cast<float>(eps))};
  }
  const double wide_count = static_cast<double>(width);
  const double middle = row_sum<double>(x, width, [](int64_t, double value) { return value; }) / wide_count;
  const double wide_squares =
      row_sum<double>(x, width, [=](int64_t, double value) { return (value - middle) * (value - middle); });
  return split_moments<float>(middle, 0, wide_squares / wide_count, eps);
}

// One block per row. To tune: one warp per row and the row in registers; two sums in one reduction.
template <class T>
__global__ void layer_norm_forward_kernel(const T* in, const T* weight, const T* bias, int64_t width,
                                          double eps, T* out, float* means, float* rstds) {
  const T* x = in + blockIdx.x * width;
  T* y = out + blockIdx.x * width;
  const RowMoments<float> m = measure(x, width, eps);
  for (int64_t i = threadIdx.x; i < width; i += blockDim.x) {
    store(y[i], (static_cast<float>(x[i]) - m.mean - m.rest) * m.rstd * static_cast<float>(weight[i]) +
                    static_cast<float>(bias[i]));
  }
  if (threadIdx.x == 0) {
    means[2 * blockIdx.x] = m.mean;
    means[2 * blockIdx.x + 1] = m.rest;
    rstds[blockIdx.x] = m.rstd;
  }
}

// dx of one row, computed in C, by all threads of a block.
template <class C, class T>
__device__ void backward_row(const T* dy, const T* x, const T* weight, const RowMoments<float>& moments,
                             int64_t width, T* dx) {
  const C mean = moments.mean, rest = moments.rest, rstd = moments.rstd, count = static_cast<C>(width);
  const auto g = [=](int64_t i) {
    return static_cast<C>(static_cast<float>(dy[i])) * static_cast<C>(static_cast<float>(weight[i]));
  };
  const C sum = row_sum<C>(x, width, [=](int64_t i, C) { return g(i); }) / count;
  const C projection =
      row_sum<C>(x, width, [=](int64_t i, C value) { return g(i) * (value - mean - rest) * rstd; }) / count;
  for (int64_t i = threadIdx.x; i < width; i += blockDim.x) {
    const C xhat = (static_cast<C>(static_cast<float>(x[i])) - mean - rest) * rstd;
    store(dx[i], rstd * (g(i) - sum - xhat * projection));
  }
}

// dx; one block per row.
template <class T>
__global__ void layer_norm_backward_kernel(const T* gradient, const T* in, const T* weight,
                                           const float* means, const float* rstds, int64_t width, T* out) {
  const int64_t row = blockIdx.x;
  const RowMoments<float> m{means[2 * row], means[2 * row + 1], rstds[row]};
  const T *dy = gradient + row * width, *x = in + row * width;
  if (m.rstd > static_cast<float>(steep_rstd))
    backward_row<double>(dy, x, weight, m, width, out + row * width);
  else
    backward_row<float>(dy, x, weight, m, width, out + row * width);
}

// partial (pieces, 2, width): the sums of dy * xhat and of dy over one piece's rows, one thread a column. To
// tune: shares the reads of dy and x with layer_norm_backward_kernel.
template <class T>
__global__ void piece_kernel(const T* dy, const T* x, const float* means, const float* rstds, int64_t rows,
                             int64_t width, int64_t pieces, float* partial) {
  for (int64_t i = first_index(); i < pieces * width; i += index_step()) {
    const int64_t column = i % width, begin = i / width * piece;
    const int64_t end = begin + piece < rows ? begin + piece : rows;
    float weight_sum = 0, bias_sum = 0;
    for (int64_t row = begin; row < end; ++row) {
      const float g = static_cast<float>(dy[row * width + column]);
      const float centred = static_cast<float>(x[row * width + column]) - means[2 * row] - means[2 * row + 1];
      weight_sum += g * centred * rstds[row];
      bias_sum += g;
    }
    partial[i / width * 2 * width + column] = weight_sum;
    partial[(i / width * 2 + 1) * width + column] = bias_sum;
  }
}

template <class T>
__global__ void sum_kernel(const float* partial, int64_t pieces, int64_t width, T* dweight, T* dbias) {
  for (int64_t column = first_index(); column < width; column += index_step()) {
    float weight_sum = 0, bias_sum = 0;
    for (int64_t p = 0; p < pieces; ++p) {
      weight_sum += partial[p * 2 * width + column];
      bias_sum += partial[(p * 2 + 1) * width + column];
    }
    store(dweight[column], weight_sum);
    store(dbias[column], bias_sum);
  }
}

}  // namespace

void CudaKernels::layer_norm(const Tensor& x, const Tensor& weight, const Tensor& bias, double eps,
                             const Tensor& y, const Tensor& mean, const Tensor& rstd) {
  visit_computed("layer_norm", x.dtype(), [&]<class T>(T) {
    launch("layer_norm", stream_, x.size(0), row_threads, 0, layer_norm_forward_kernel<T>, x.data<T>(),
           weight.data<T>(), bias.data<T>(), x.size(1), eps, y.data<T>(), mean.data<float>(),
           rstd.data<float>());
  });
}

void CudaKernels::layer_norm_backward(const Tensor& dy, const Tensor& x, const Tensor& weight,
                                      const Tensor& mean, const Tensor& rstd, const Tensor& dx,
                                      const Tensor& dweight, const Tensor& dbias) {
  const int64_t rows = x.size(0), width = x.size(1), pieces = ceil_divide(rows, piece);
  visit_computed("layer_norm_backward", x.dtype(), [&]<class T>(T) {
    const char* op = "layer_norm_backward";
    launch(op, stream_, rows, row_threads, 0, layer_norm_backward_kernel<T>, dy.data<T>(), x.data<T>(),
           weight.data<T>(), mean.data<float>(), rstd.data<float>(), width, dx.data<T>());
    const Tensor partial = Tensor::empty({pieces, 2, width}, Dtype::f32, device());
    launch(op, stream_, blocks_for(pieces * width), block_threads, 0, piece_kernel<T>, dy.data<T>(),
           x.data<T>(), mean.data<float>(), rstd.data<float>(), rows, width, pieces, partial.data<float>());
    launch(op, stream_, blocks_for(width), block_threads, 0, sum_kernel<T>, partial.data<float>(), pieces,
           width, dweight.data<T>(), dbias.data<T>());
  });
}

}  // namespace nabla
