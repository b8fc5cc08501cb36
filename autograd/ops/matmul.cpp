// y = op(a) op(b), op(z) = z, or z with its last two axes exchanged if it is stored `transposed`.
//   op(a) (..., M, K), op(b) (..., K, N) -> y (..., M, N); leading axes equal, or one operand has none: it is
//   shared by all products, and its gradient is the sum over them.
// d op(a) = dy op(b)^T,  d op(b) = op(a)^T dy; a transposed operand gets the transpose of that, which
// exchanges the factors: no data moves. Saved: each operand for the other's gradient.
#include "autograd/ops/common.h"
#include "autograd/ops/ops.h"

namespace nabla {

Variable matmul(const Variable& a, const Variable& b, bool a_transposed, bool b_transposed) {
  check_alike("matmul", a, b);
  const bool need_a = wants_gradient(a), need_b = wants_gradient(b);
  return record(
      "matmul", matmul(a.value(), a_transposed, b.value(), b_transposed), {a, b},
      [need_a, need_b, a_transposed, b_transposed, a_shape = a.shape(), b_shape = b.shape(),
       b = saved_if(need_a, b), a = saved_if(need_b, a)](const Tensor& dy) -> Gradients {
        Tensor da, db;
        if (need_a) {
          da = a_transposed ? matmul(b, b_transposed, dy, true) : matmul(dy, false, b, !b_transposed);
          da = sum_to(da, a_shape);
        }
        if (need_b) {
          db = b_transposed ? matmul(dy, true, a, a_transposed) : matmul(a, !a_transposed, dy, false);
          db = sum_to(db, b_shape);
        }
        return {da, db};
      });
}

}  // namespace nabla
