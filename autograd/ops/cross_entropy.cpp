// y = mean over rows r of -log softmax(logits_r)[label_r].
//   logits (N, C), labels (N) i64 in [0, C) -> y ()
// dlogits = dy / N * (softmax(logits) - onehot(labels)). Saved: the probabilities and the labels.
#include "autograd/ops/common.h"
#include "autograd/ops/ops.h"

namespace nabla {

namespace {

void check_labels(const Variable& logits, const Tensor& labels) {
  check(logits.shape().rank() == 2 && logits.size(0) >= 1,
        "cross_entropy: logits of {} are not (N, C) with N >= 1", logits.shape());
  check(labels.dtype() == Dtype::i64 && labels.shape() == Shape{logits.size(0)},
        "cross_entropy: labels {} of {} do not fit logits {}", labels.shape(), labels.dtype(),
        logits.shape());
  check(labels.device() == logits.device(), "cross_entropy: labels on {}, logits on {}", labels.device(),
        logits.device());
  for (int64_t label : labels.to_vector<int64_t>()) {
    check(label >= 0 && label < logits.size(1), "cross_entropy: label {} is not in [0, {})", label,
          logits.size(1));
  }
}

}  // namespace

Variable cross_entropy(const Variable& logits, const Tensor& labels) {
  check_alike("cross_entropy", logits);
  check_labels(logits, labels);
  const Tensor targets = labels.contiguous();
  const Tensor losses = Tensor::empty({logits.size(0)}, logits.dtype(), logits.device());
  const Tensor probabilities = Tensor::empty_like(logits.value());
  kernels_for(logits).cross_entropy(logits.value().contiguous(), targets, losses, probabilities);

  return record("cross_entropy", reduce(Reduce::mean, losses), {logits},
                [targets, probabilities](const Tensor& dy) -> Gradients {
                  const int64_t rows = probabilities.size(0);
                  const Tensor dlosses = (dy * (1.0 / static_cast<double>(rows))).expand({rows}).contiguous();
                  const Tensor dlogits = Tensor::empty_like(probabilities);
                  kernels_for(dy).cross_entropy_backward(dlosses, probabilities, targets, dlogits);
                  return dlogits;
                });
}

}  // namespace nabla
