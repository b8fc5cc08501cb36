// softmax: y_i = exp(x_i) / sum_j exp(x_j) over the last axis; log_softmax: its logarithm. x (..., n)
// -> (..., n).
//   softmax:      dx = y (dy - sum_j dy_j y_j)
//   log_softmax:  dx = dy - exp(y) sum_j dy_j
// Saved: y.
#include "autograd/ops/common.h"
#include "autograd/ops/ops.h"

namespace nabla {

namespace {

Variable normalised(const char* name, const Variable& x, bool logarithm) {
  check_alike(name, x);
  check(x.shape().rank() >= 1, "{}: x of {} has no axis", name, x.shape());
  const Tensor rows = as_rows(x.value());
  const Tensor y = Tensor::empty_like(rows);
  kernels_for(x).softmax(rows, logarithm, y);
  return record(name, y.reshape(x.shape()), {x}, [y, logarithm](const Tensor& dy) -> Gradients {
    const Tensor dx = Tensor::empty_like(y);
    kernels_for(dy).softmax_backward(as_rows(dy), y, logarithm, dx);
    return dx.reshape(dy.shape());
  });
}

}  // namespace

Variable softmax(const Variable& x) { return normalised("softmax", x, false); }
Variable log_softmax(const Variable& x) { return normalised("log_softmax", x, true); }

}  // namespace nabla
