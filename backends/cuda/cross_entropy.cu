// loss[r] = -log softmax(logits[r])[label[r]] = max + log sum exp(logits - max) - logits[label]; the
// probabilities softmax(logits[r]) are kept.
// Backward:  dlogits[r][c] = dloss[r] * (probability[r][c] - (c == label[r])).
// The op has checked the labels. A bad one would give NaN, and nothing out of bounds is read.
#include <cmath>
#include <limits>

#include "backends/common/convert.h"
#include "backends/cuda/cuda_kernels.h"
#include "backends/cuda/launch.cuh"
#include "tensor/elementwise.h"

namespace nabla {

namespace {

// One block per row. To tune: one warp per row for few classes.
template <class T>
__global__ void cross_entropy_forward_kernel(const T* logits, const int64_t* labels, int64_t classes, T* loss,
                                             T* probabilities) {
  const int64_t row = blockIdx.x, label = labels[row];
  const T* x = logits + row * classes;
  T* p = probabilities + row * classes;
  float largest = -std::numeric_limits<float>::infinity();
  for (int64_t c = threadIdx.x; c < classes; c += blockDim.x) {
    largest = elementwise::Maximum{}(largest, static_cast<float>(x[c]));
  }
  largest = block_reduce(largest, elementwise::Maximum{});
  float sum = 0;
  for (int64_t c = threadIdx.x; c < classes; c += blockDim.x) sum += vexp(static_cast<float>(x[c]) - largest);
  sum = block_reduce(sum, elementwise::Add{});
  const float inverse = 1.0f / sum;
  for (int64_t c = threadIdx.x; c < classes; c += blockDim.x) {
    store(p[c], vexp(static_cast<float>(x[c]) - largest) * inverse);
  }
  if (threadIdx.x != 0) return;
  const bool known = label >= 0 && label < classes;
  store(loss[row], known ? std::log(sum) - (static_cast<float>(x[known ? label : 0]) - largest)
                         : std::numeric_limits<float>::quiet_NaN());
}

template <class T>
__global__ void cross_entropy_backward_kernel(int64_t count, int64_t classes, const T* dloss,
                                              const T* probabilities, const int64_t* labels, T* dlogits) {
  for (int64_t i = first_index(); i < count; i += index_step()) {
    const int64_t row = i / classes;
    const float target = i % classes == labels[row] ? 1.0f : 0.0f;
    store(dlogits[i], static_cast<float>(dloss[row]) * (static_cast<float>(probabilities[i]) - target));
  }
}

}  // namespace

void CudaKernels::cross_entropy(const Tensor& logits, const Tensor& labels, const Tensor& loss,
                                const Tensor& probabilities) {
  visit_computed("cross_entropy", logits.dtype(), [&]<class T>(T) {
    launch("cross_entropy", stream_, logits.size(0), block_threads, 0, cross_entropy_forward_kernel<T>,
           logits.data<T>(), labels.data<int64_t>(), logits.size(1), loss.data<T>(), probabilities.data<T>());
  });
}

void CudaKernels::cross_entropy_backward(const Tensor& dloss, const Tensor& probabilities,
                                         const Tensor& labels, const Tensor& dlogits) {
  visit_computed("cross_entropy_backward", probabilities.dtype(), [&]<class T>(T) {
    launch("cross_entropy_backward", stream_, blocks_for(dlogits.numel()), block_threads, 0,
           cross_entropy_backward_kernel<T>, dlogits.numel(), probabilities.size(1), dloss.data<T>(),
           probabilities.data<T>(), labels.data<int64_t>(), dlogits.data<T>());
  });
}

}  // namespace nabla
