#include "backends/common/convert.h"
#include "backends/common/dropout.h"
#include "backends/cuda/cuda_kernels.h"
#include "backends/cuda/launch.cuh"

namespace nabla {

namespace {

// One thread per block of four words. further: what a replay adds to the offset, or null. To tune: 16 bytes
// per load and store.
template <class T>
__global__ void dropout_kernel(const T* x, T* y, int64_t count, float kept, uint32_t threshold, uint64_t seed,
                               uint64_t offset, const int64_t* further) {
  const int64_t blocks = (count + 3) / 4;
  if (further) offset += static_cast<uint64_t>(*further);
  for (int64_t block = first_index(); block < blocks; block += index_step()) {
    const Philox4 drawn = philox(seed, offset + static_cast<uint64_t>(block));
    for (int word = 0; word < 4; ++word) {
      const int64_t i = 4 * block + word;
      if (i >= count) break;
      const bool keeps = dropout_keeps(drawn.word[word], threshold);
      store(y[i], keeps ? static_cast<float>(x[i]) / kept : 0.0f);
    }
  }
}

}  // namespace

void CudaKernels::dropout(const Tensor& x, double p, uint64_t seed, uint64_t offset, const Tensor& y) {
  visit_computed("dropout", x.dtype(), [&]<class T>(T) {
    launch("dropout", stream_, blocks_for(ceil_divide(x.numel(), 4)), block_threads, 0, dropout_kernel<T>,
           x.data<T>(), y.data<T>(), x.numel(), static_cast<float>(1.0 - p), dropout_threshold(p), seed,
           offset, recording_ != nullptr ? recording_->random_blocks().data<int64_t>() : nullptr);
  });
}

}  // namespace nabla
