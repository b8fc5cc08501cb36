// y = a . b / (na nb) over the last axis, na = max(|a|, eps), nb = max(|b|, eps), as torch clamps them.
//   a and b (..., n) -> y (...)
// da = dy (b / (na nb) - y / na * a / |a|), db likewise. As in torch the clamp is no part of the derivative:
// the norm counts as |a| even where it is clamped; in a row of zeros the second term is 0. Saved: a and b.
#include "autograd/ops/common.h"
#include "autograd/ops/ops.h"

namespace nabla {

Variable cosine_similarity(const Variable& a, const Variable& b, double eps) {
  check_alike("cosine_similarity", a, b);
  check(a.shape() == b.shape() && a.shape().rank() >= 1,
        "cosine_similarity: shapes {} and {} differ or have no axis", a.shape(), b.shape());
  const Tensor a_rows = as_rows(a.value()), b_rows = as_rows(b.value());
  const Tensor y = Tensor::empty({a_rows.size(0)}, a.dtype(), a.device());
  kernels_for(a).cosine_similarity(a_rows, b_rows, eps, y);
  Shape y_shape = a.shape();
  y_shape.erase(-1);

  return record("cosine_similarity", y.reshape(y_shape), {a, b},
                [a_rows, b_rows, eps, shape = a.shape(), need_a = wants_gradient(a),
                 need_b = wants_gradient(b)](const Tensor& dy) -> Gradients {
                  const Tensor da = need_a ? Tensor::empty_like(a_rows) : Tensor();
                  const Tensor db = need_b ? Tensor::empty_like(b_rows) : Tensor();
                  const Tensor dy_rows = dy.contiguous().reshape({a_rows.size(0)});
                  kernels_for(dy).cosine_similarity_backward(dy_rows, a_rows, b_rows, eps, da, db);
                  return {need_a ? da.reshape(shape) : da, need_b ? db.reshape(shape) : db};
                });
}

}  // namespace nabla
