// Over the rows of a and b (rows, n): cos = a . b / (ca cb) with ca = max(|a|, eps), cb = max(|b|, eps).
// Backward, as torch.nn.functional.cosine_similarity has it: the clamp is not part of the derivative, so the
// norm is differentiated even where it is clamped (and 0 / 0 in a row of zeros counts as 0):
//   da = dcos * (b / (ca cb) - cos / ca * a / |a|),  db likewise.
// The three sums are taken in f64: a distance 1 - cos near 0 is a small difference, and rows are long.
#include "backends/common/convert.h"
#include "backends/common/cosine.h"
#include "backends/cuda/cuda_kernels.h"
#include "backends/cuda/launch.cuh"
#include "tensor/elementwise.h"

namespace nabla {

namespace {

// By all threads of a block.
template <class T>
__device__ Cosine measure(const T* a, const T* b, int64_t n, double eps) {
  double dot = 0, square_a = 0, square_b = 0;
  for (int64_t i = threadIdx.x; i < n; i += blockDim.x) {
    const double x = static_cast<float>(a[i]), y = static_cast<float>(b[i]);
    dot += x * y;
    square_a += x * x;
    square_b += y * y;
  }
  dot = block_reduce(dot, elementwise::Add{});
  Cosine c{0, sqrt(block_reduce(square_a, elementwise::Add{})),
           sqrt(block_reduce(square_b, elementwise::Add{})), 0, 0};
  c.clamped_a = c.norm_a < eps ? eps : c.norm_a;
  c.clamped_b = c.norm_b < eps ? eps : c.norm_b;
  c.value = dot / c.clamped_a / c.clamped_b;
  return c;
}

// One block per row. To tune: long rows (a whole image's features) by several blocks; short ones by a warp;
// the distance, its mining threshold and the loss in one kernel.
template <class T>
__global__ void cosine_similarity_forward_kernel(const T* a, const T* b, int64_t n, double eps, T* out) {
  const Cosine c = measure(a + blockIdx.x * n, b + blockIdx.x * n, n, eps);
  if (threadIdx.x == 0) store(out[blockIdx.x], static_cast<float>(c.value));
}

// One row's gradient, computed in C, by all threads of a block.
template <class C, class T>
__device__ void combine(const T* own, const T* other, const CosineFactors& factors, int64_t n, T* dx) {
  const C f = static_cast<C>(factors.own), g = static_cast<C>(factors.other);
  for (int64_t i = threadIdx.x; i < n; i += blockDim.x) {
    store(dx[i],
          g * static_cast<C>(static_cast<float>(other[i])) + f * static_cast<C>(static_cast<float>(own[i])));
  }
}

template <class T>
__device__ void gradient(const T* own, const T* other, const CosineFactors& factors, int64_t n, T* dx) {
  if (factors_fit<float>(factors))
    combine<float>(own, other, factors, n, dx);
  else
    combine<double>(own, other, factors, n, dx);
}

// One block per row; da or db may be null. To tune: the sums are those of the forward pass and could be kept.
template <class T>
__global__ void cosine_similarity_backward_kernel(const T* dout, const T* a, const T* b, int64_t n,
                                                  double eps, T* da, T* db) {
  const int64_t row = blockIdx.x;
  const T *x = a + row * n, *y = b + row * n;
  const Cosine c = measure(x, y, n, eps);
  const double dcos = static_cast<float>(dout[row]);
  if (da) gradient(x, y, cosine_factors(dcos, c, c.norm_a, c.clamped_a), n, da + row * n);
  if (db) gradient(y, x, cosine_factors(dcos, c, c.norm_b, c.clamped_b), n, db + row * n);
}

}  // namespace

void CudaKernels::cosine_similarity(const Tensor& a, const Tensor& b, double eps, const Tensor& out) {
  visit_computed("cosine_similarity", a.dtype(), [&]<class T>(T) {
    launch("cosine_similarity", stream_, a.size(0), block_threads, 0, cosine_similarity_forward_kernel<T>,
           a.data<T>(), b.data<T>(), a.size(1), eps, out.data<T>());
  });
}

void CudaKernels::cosine_similarity_backward(const Tensor& dout, const Tensor& a, const Tensor& b, double eps,
                                             const Tensor& da, const Tensor& db) {
  visit_computed("cosine_similarity_backward", a.dtype(), [&]<class T>(T) {
    launch("cosine_similarity_backward", stream_, a.size(0), block_threads, 0,
           cosine_similarity_backward_kernel<T>, dout.data<T>(), a.data<T>(), b.data<T>(), a.size(1), eps,
           da.defined() ? da.data<T>() : nullptr, db.defined() ? db.data<T>() : nullptr);
  });
}

}  // namespace nabla
