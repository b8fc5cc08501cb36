#include "backends/common/dropout.h"

#include "backends/common/convert.h"
#include "tensor/tensor.h"
#include "tensor/threads.h"

namespace nabla::cpu {

namespace {

// Blocks whose words are drawn at once, side by side in the vector registers.
constexpr int64_t batch = 64;

template <class T>
void dropout_piece(const T* x, T* y, int64_t count, double p, uint64_t seed, uint64_t offset) {
  const uint32_t threshold = dropout_threshold(p);
  const auto kept = static_cast<Wide<T>>(1.0 - p);
  uint32_t words[4 * batch];
  for (int64_t begin = 0; begin < count; begin += 4 * batch) {
    const uint64_t first = offset + static_cast<uint64_t>(begin) / 4;
#pragma omp simd
    for (int64_t block = 0; block < batch; ++block) {
      const Philox4 drawn = philox(seed, first + static_cast<uint64_t>(block));
      for (int word = 0; word < 4; ++word) words[4 * block + word] = drawn.word[word];
    }
    const int64_t length = std::min(4 * batch, count - begin);
#pragma omp simd
    for (int64_t i = 0; i < length; ++i) {
      const Wide<T> scaled = static_cast<Wide<T>>(x[begin + i]) / kept;
      store(y[begin + i], dropout_keeps(words[i], threshold) ? scaled : Wide<T>(0));
    }
  }
}

}  // namespace

void dropout(const Tensor& x, double p, uint64_t seed, uint64_t offset, const Tensor& y) {
  visit_floating(x.dtype(), [&](auto type) {
    using T = decltype(type);
    const T* source = x.data<T>();
    T* target = y.data<T>();
    parallel_for(
        x.numel(), parallel_grain / 4,
        [&](int64_t begin, int64_t end) {
          dropout_piece(source + begin, target + begin, end - begin, p, seed,
                        offset + static_cast<uint64_t>(begin) / 4);
        },
        4 * batch);
  });
}

}  // namespace nabla::cpu
