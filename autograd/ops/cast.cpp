// y = x in another floating dtype, rounded to nearest even; dx = dy in x's dtype.
//   x of any shape -> y of the same. Saved: nothing.
#include "autograd/ops/common.h"
#include "autograd/ops/ops.h"

namespace nabla {

Variable cast(const Variable& x, Dtype dtype) {
  check(is_floating(x.dtype()) && is_floating(dtype), "cast: {} to {}: both must be floating", x.dtype(),
        dtype);
  return record("cast", x.value().to(dtype), {x},
                [from = x.dtype()](const Tensor& dy) -> Gradients { return dy.to(from); });
}

}  // namespace nabla
