// Rotary position embedding (Su et al., "RoFormer", 2021), half against half: in each row of x, elements j and
// j + d/2 turn by the angle a[token, j],
//   y[j] = x[j] cos a - x[j + d/2] sin a,   y[j + d/2] = x[j + d/2] cos a + x[j] sin a,   j < d/2.
//   x (B, H, N, d), d even; cosines and sines (P, d/2), P <= N, of the last P tokens -> y (B, H, N, d)
// The first N - P tokens (class and register tokens) stay as they are. A rotation's derivative is its transpose, the
// rotation by -a, so
//   dx[j] = dy[j] cos a + dy[j + d/2] sin a,   dx[j + d/2] = dy[j + d/2] cos a - dy[j] sin a.
// Saved: the tables alone.
#include "autograd/ops/common.h"
#include "autograd/ops/ops.h"
#include "autograd/ops/packed_heads.h"

namespace nabla {

RopeTables rope_tables(const char* op, const RopeTables& tables, const Tensor& x, int64_t tokens,
                       int64_t width) {
  const Tensor &cosines = tables.cosines, &sines = tables.sines;
  check(cosines.defined() && sines.defined(), "{}: no tables", op);
  check(cosines.rank() == 2 && cosines.shape() == sines.shape() && 2 * cosines.size(1) == width &&
            cosines.size(0) <= tokens,
        "{}: tables of {} and {} are not (P, d/2) with at most N = {} tokens and d = {}", op, cosines.shape(),
        sines.shape(), tokens, width);
  check(cosines.dtype() == x.dtype() && sines.dtype() == x.dtype() && cosines.device() == x.device() &&
            sines.device() == x.device(),
        "{}: tables of {} on {} do not fit x of {} on {}", op, cosines.dtype(), cosines.device(), x.dtype(),
        x.device());
  return {cosines.contiguous(), sines.contiguous()};
}

Variable rope(const Variable& x, const RopeTables& tables) {
  check_alike("rope", x);
  const Shape& shape = x.shape();
  check(shape.rank() == 4 && shape[3] % 2 == 0, "rope: x {} is not (B, H, N, d) with an even d", shape);
  const auto [cosines, sines] = rope_tables("rope", tables, x.value(), shape[2], shape[3]);
  const Tensor y = Tensor::empty(shape, x.dtype(), x.device());
  kernels_for(x).rope(with_dense_rows(x.value()), cosines, sines, false, y);

  return record("rope", y, {x}, [cosines = cosines, sines = sines](const Tensor& dy) -> Gradients {
    const Tensor dx = Tensor::empty(dy.shape(), dy.dtype(), dy.device());
    kernels_for(dy).rope(with_dense_rows(dy), cosines, sines, true, dx);
    return dx;
  });
}

}  // namespace nabla
