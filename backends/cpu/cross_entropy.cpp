// loss[r] = -log softmax(logits[r])[label[r]] = max + log sum exp(logits - max) - logits[label]; the
// probabilities softmax(logits[r]) are kept.
// Backward:  dlogits[r][c] = dloss[r] * (probability[r][c] - (c == label[r])).
#include <cmath>
#include <limits>

#include "backends/common/convert.h"
#include "tensor/tensor.h"
#include "tensor/threads.h"
#include "tensor/vector_math.h"

namespace nabla::cpu {

namespace {

// A label outside of the classes would read foreign memory.
void check_labels(const int64_t* labels, int64_t rows, int64_t classes) {
  for (int64_t row = 0; row < rows; ++row) {
    check(labels[row] >= 0 && labels[row] < classes,
          "cross_entropy: label {} in row {} is not one of {} classes", labels[row], row, classes);
  }
}

template <class T>
T forward(const T* logits, int64_t label, int64_t classes, T* probabilities) {
  using W = Wide<T>;
  W largest = -std::numeric_limits<W>::infinity();
#pragma omp simd reduction(max : largest)
  for (int64_t c = 0; c < classes; ++c) {
    largest = static_cast<W>(logits[c]) > largest ? static_cast<W>(logits[c]) : largest;
  }
  W sum = 0;
#pragma omp simd reduction(+ : sum)
  for (int64_t c = 0; c < classes; ++c) sum += vexp(static_cast<W>(logits[c]) - largest);
  const W inverse = W(1) / sum;
#pragma omp simd
  for (int64_t c = 0; c < classes; ++c) {
    store(probabilities[c], vexp(static_cast<W>(logits[c]) - largest) * inverse);
  }
  return T(std::log(sum) - (static_cast<W>(logits[label]) - largest));
}

}  // namespace

void cross_entropy(const Tensor& logits, const Tensor& labels, const Tensor& loss,
                   const Tensor& probabilities) {
  const int64_t rows = logits.size(0), classes = logits.size(1);
  const int64_t* label = labels.data<int64_t>();
  check_labels(label, rows, classes);
  visit_floating(logits.dtype(), [&]<class T>(T) {
    const T* in = logits.data<T>();
    T *out = loss.data<T>(), *kept = probabilities.data<T>();
    parallel_for(rows, row_grain(classes), [&](int64_t begin, int64_t end) {
      for (int64_t row = begin; row < end; ++row) {
        out[row] = forward(in + row * classes, label[row], classes, kept + row * classes);
      }
    });
  });
}

void cross_entropy_backward(const Tensor& dloss, const Tensor& probabilities, const Tensor& labels,
                            const Tensor& dlogits) {
  const int64_t rows = probabilities.size(0), classes = probabilities.size(1);
  const int64_t* label = labels.data<int64_t>();
  check_labels(label, rows, classes);
  visit_floating(probabilities.dtype(), [&]<class T>(T) {
    using W = Wide<T>;
    const T *gradient = dloss.data<T>(), *kept = probabilities.data<T>();
    T* out = dlogits.data<T>();
    parallel_for(rows, row_grain(classes), [&](int64_t begin, int64_t end) {
      for (int64_t row = begin; row < end; ++row) {
        const W g = static_cast<W>(gradient[row]);
        const T* p = kept + row * classes;
        T* d = out + row * classes;
#pragma omp simd
        for (int64_t c = 0; c < classes; ++c) store(d[c], g * static_cast<W>(p[c]));
        d[label[row]] = T(g * (static_cast<W>(p[label[row]]) - W(1)));
      }
    });
  });
}

}  // namespace nabla::cpu
