// y = xhat * weight + bias over the rows of x (rows, D), xhat = (x - mean) * rstd, rstd = 1 / sqrt(var +
// eps). The variance is the biased one, summed in a second pass over the row (the one-pass formula cancels).
// Backward, with g = dy * weight:
//   dx = rstd * (g - mean(g) - xhat * mean(g * xhat)),  dweight = sum over rows of dy * xhat,  dbias = sum of
//   dy.
// The sums over rows: each piece of 128 rows becomes one row of sums, then the pieces are added in order.
#include <cmath>

#include "backends/common/convert.h"
#include "backends/cuda/cuda_kernels.h"
#include "backends/cuda/launch.cuh"
#include "tensor/elementwise.h"

namespace nabla {

namespace {

constexpr int row_threads = 128;
constexpr int64_t piece = 128;  // rows

// One block per row. To tune: one warp per row and the row in registers.
template <class T>
__global__ void forward_kernel(const T* in, const T* weight, const T* bias, int64_t width, float eps, T* out,
                               float* means, float* rstds) {
  const T* x = in + blockIdx.x * width;
  T* y = out + blockIdx.x * width;
  float sum = 0;
  for (int64_t i = threadIdx.x; i < width; i += blockDim.x) sum += static_cast<float>(x[i]);
  const float mean = block_reduce(sum, elementwise::Add{}) / static_cast<float>(width);
  float squares = 0;
  for (int64_t i = threadIdx.x; i < width; i += blockDim.x) {
    const float centred = static_cast<float>(x[i]) - mean;
    squares += centred * centred;
  }
  const float variance = block_reduce(squares, elementwise::Add{}) / static_cast<float>(width);
  const float rstd = 1.0f / std::sqrt(variance + eps);
  for (int64_t i = threadIdx.x; i < width; i += blockDim.x) {
    store(y[i], (static_cast<float>(x[i]) - mean) * rstd * static_cast<float>(weight[i]) +
                    static_cast<float>(bias[i]));
  }
  if (threadIdx.x == 0) {
    means[blockIdx.x] = mean;
    rstds[blockIdx.x] = rstd;
  }
}

// dx; one block per row.
template <class T>
__global__ void backward_kernel(const T* gradient, const T* in, const T* weight, const float* means,
                                const float* rstds, int64_t width, T* out) {
  const T *dy = gradient + blockIdx.x * width, *x = in + blockIdx.x * width;
  T* dx = out + blockIdx.x * width;
  const float mean = means[blockIdx.x], rstd = rstds[blockIdx.x];
  float sum = 0, projection = 0;
  for (int64_t i = threadIdx.x; i < width; i += blockDim.x) {
    const float g = static_cast<float>(dy[i]) * static_cast<float>(weight[i]);
    sum += g;
    projection += g * (static_cast<float>(x[i]) - mean) * rstd;
  }
  sum = block_reduce(sum, elementwise::Add{}) / static_cast<float>(width);
  projection = block_reduce(projection, elementwise::Add{}) / static_cast<float>(width);
  for (int64_t i = threadIdx.x; i < width; i += blockDim.x) {
    const float xhat = (static_cast<float>(x[i]) - mean) * rstd;
    store(dx[i],
          rstd * (static_cast<float>(dy[i]) * static_cast<float>(weight[i]) - sum - xhat * projection));
  }
}

// partial (pieces, 2, width): the sums of dy * xhat and of dy over one piece's rows, one thread a column. To
// tune: shares the reads of dy and x with backward_kernel.
template <class T>
__global__ void piece_kernel(const T* dy, const T* x, const float* means, const float* rstds, int64_t rows,
                             int64_t width, int64_t pieces, float* partial) {
  for (int64_t i = first_index(); i < pieces * width; i += index_step()) {
    const int64_t column = i % width, begin = i / width * piece;
    const int64_t end = begin + piece < rows ? begin + piece : rows;
    float weight_sum = 0, bias_sum = 0;
    for (int64_t row = begin; row < end; ++row) {
      const float g = static_cast<float>(dy[row * width + column]);
      weight_sum += g * (static_cast<float>(x[row * width + column]) - means[row]) * rstds[row];
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
    launch("layer_norm", stream_, x.size(0), row_threads, 0, forward_kernel<T>, x.data<T>(), weight.data<T>(),
           bias.data<T>(), x.size(1), static_cast<float>(eps), y.data<T>(), mean.data<float>(),
           rstd.data<float>());
  });
}

void CudaKernels::layer_norm_backward(const Tensor& dy, const Tensor& x, const Tensor& weight,
                                      const Tensor& mean, const Tensor& rstd, const Tensor& dx,
                                      const Tensor& dweight, const Tensor& dbias) {
  const int64_t rows = x.size(0), width = x.size(1), pieces = ceil_divide(rows, piece);
  visit_computed("layer_norm_backward", x.dtype(), [&]<class T>(T) {
    const char* op = "layer_norm_backward";
    launch(op, stream_, rows, row_threads, 0, backward_kernel<T>, dy.data<T>(), x.data<T>(), weight.data<T>(),
           mean.data<float>(), rstd.data<float>(), width, dx.data<T>());
    const Tensor partial = Tensor::empty({pieces, 2, width}, Dtype::f32, device());
    launch(op, stream_, blocks_for(pieces * width), block_threads, 0, piece_kernel<T>, dy.data<T>(),
           x.data<T>(), mean.data<float>(), rstd.data<float>(), rows, width, pieces, partial.data<float>());
    launch(op, stream_, blocks_for(width), block_threads, 0, sum_kernel<T>, partial.data<float>(), pieces,
           width, dweight.data<T>(), dbias.data<T>());
  });
}

}  // namespace nabla
