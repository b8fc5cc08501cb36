// Over the rows of x (rows, n):  y = exp(x - max) / sum exp(x - max), or its logarithm x - max - log sum.
// Backward:  dx = y * (dy - sum(dy * y)),  of the logarithm:  dx = dy - exp(y) * sum(dy).
#include <cmath>
#include <limits>

#include "backends/common/convert.h"
#include "backends/cuda/cuda_kernels.h"
#include "backends/cuda/launch.cuh"
#include "tensor/elementwise.h"

namespace nabla {

namespace {

// One block per row. To tune: one warp per row for short ones; the row in registers, so that x is read once.
template <class T>
__global__ void softmax_forward_kernel(const T* in, int64_t n, bool logarithm, T* out) {
  const T* x = in + blockIdx.x * n;
  T* y = out + blockIdx.x * n;
  float largest = -std::numeric_limits<float>::infinity();
  for (int64_t i = threadIdx.x; i < n; i += blockDim.x) {
    largest = elementwise::Maximum{}(largest, static_cast<float>(x[i]));
  }
  largest = block_reduce(largest, elementwise::Maximum{});
  float sum = 0;
  for (int64_t i = threadIdx.x; i < n; i += blockDim.x) sum += vexp(static_cast<float>(x[i]) - largest);
  sum = block_reduce(sum, elementwise::Add{});
  const float inverse = 1.0f / sum, normaliser = std::log(sum);
  for (int64_t i = threadIdx.x; i < n; i += blockDim.x) {
    const float centred = static_cast<float>(x[i]) - largest;
    store(y[i], logarithm ? centred - normaliser : vexp(centred) * inverse);
  }
}

// One block per row. To tune: as above.
template <class T>
__global__ void softmax_backward_kernel(const T* gradient, const T* value, int64_t n, bool logarithm,
                                        T* out) {
  const T *dy = gradient + blockIdx.x * n, *y = value + blockIdx.x * n;
  T* dx = out + blockIdx.x * n;
  float sum = 0;
  for (int64_t i = threadIdx.x; i < n; i += blockDim.x) {
    sum += static_cast<float>(dy[i]) * (logarithm ? 1.0f : static_cast<float>(y[i]));
  }
  sum = block_reduce(sum, elementwise::Add{});
  for (int64_t i = threadIdx.x; i < n; i += blockDim.x) {
    const float g = static_cast<float>(dy[i]), v = static_cast<float>(y[i]);
    store(dx[i], logarithm ? g - vexp(v) * sum : v * (g - sum));
  }
}

}  // namespace

void CudaKernels::softmax(const Tensor& x, bool logarithm, const Tensor& y) {
  visit_computed("softmax", x.dtype(), [&]<class T>(T) {
    launch("softmax", stream_, x.size(0), block_threads, 0, softmax_forward_kernel<T>, x.data<T>(), x.size(1),
           logarithm, y.data<T>());
  });
}

void CudaKernels::softmax_backward(const Tensor& dy, const Tensor& y, bool logarithm, const Tensor& dx) {
  visit_computed("softmax_backward", y.dtype(), [&]<class T>(T) {
    launch("softmax_backward", stream_, y.size(0), block_threads, 0, softmax_backward_kernel<T>, dy.data<T>(),
           y.data<T>(), y.size(1), logarithm, dx.data<T>());
  });
}

}  // namespace nabla
