// y = mean over the rows r that count of -log softmax(logits_r)[label_r].
//   logits (N, C), labels (N) i64 in [0, C), or ignored_label in rows that do not count -> y ()
// dlogits = dy / count * (softmax(logits) - onehot(labels)), 0 in rows that do not count. Saved: the probabilities, the
// labels and the weight of each row.
#include <algorithm>
#include <vector>

#include "autograd/ops/common.h"
#include "autograd/ops/ops.h"

namespace nabla {

namespace {

// 1 / count for each row that counts, else 0: (N) f64; `labels` gets 0 where there was none.
Tensor row_weights(std::vector<int64_t>& labels) {
  const auto count =
      std::count_if(labels.begin(), labels.end(), [](int64_t label) { return label != ignored_label; });
  check(count > 0, "cross_entropy: all {} labels are ignored: the mean is of nothing", labels.size());
  std::vector<double> weights(labels.size(), 1.0 / static_cast<double>(count));
  for (size_t row = 0; row < labels.size(); ++row) {
    if (labels[row] == ignored_label) labels[row] = 0, weights[row] = 0;
  }
  return Tensor::from(weights, {static_cast<int64_t>(weights.size())});
}

void check_labels(const Variable& logits, const Tensor& labels) {
  check(logits.shape().rank() == 2 && logits.size(0) >= 1,
        "cross_entropy: logits of {} are not (N, C) with N >= 1", logits.shape());
  check(labels.dtype() == Dtype::i64 && labels.shape() == Shape{logits.size(0)},
        "cross_entropy: labels {} of {} do not fit logits {}", labels.shape(), labels.dtype(),
        logits.shape());
  check(labels.device() == logits.device(), "cross_entropy: labels on {}, logits on {}", labels.device(),
        logits.device());
  for (int64_t label : labels.to_vector<int64_t>()) {
    check(label == ignored_label || (label >= 0 && label < logits.size(1)),
          "cross_entropy: label {} is not in [0, {})", label, logits.size(1));
  }
}

}  // namespace

Variable cross_entropy(const Variable& logits, const Tensor& labels) {
  check_alike("cross_entropy", logits);
  check_labels(logits, labels);
  std::vector<int64_t> known = labels.to_vector<int64_t>();
  const Tensor weights = row_weights(known).to(wide(logits.dtype())).to(logits.device());
  const Tensor targets = Tensor::from(known, labels.shape()).to(logits.device());
  const Tensor losses = Tensor::empty({logits.size(0)}, logits.dtype(), logits.device());
  const Tensor probabilities = Tensor::empty_like(logits.value());
  kernels_for(logits).cross_entropy(logits.value().contiguous(), targets, losses, probabilities);
  const Tensor y = reduce(Reduce::sum, losses.to(weights.dtype()) * weights).to(logits.dtype());

  return record("cross_entropy", y, {logits},
                [targets, probabilities, weights](const Tensor& dy) -> Gradients {
                  const Tensor dlosses = (dy.to(weights.dtype()) * weights).to(dy.dtype());
                  const Tensor dlogits = Tensor::empty_like(probabilities);
                  kernels_for(dy).cross_entropy_backward(dlosses, probabilities, targets, dlogits);
                  return dlogits;
                });
}

}  // namespace nabla
