// Small helpers shared by the op files.
#pragma once

#include "autograd/tape.h"
#include "tensor/kernels.h"
#include "tensor/ops.h"

namespace nabla {

inline Kernels& kernels_for(const Variable& variable) { return kernels_for(variable.device()); }

inline bool wants_gradient(const Variable& x) { return x.defined() && x.requires_grad(); }

// What to capture: the value if a gradient that somebody wants needs it, else nothing.
inline Tensor saved_if(bool needed, const Variable& x) { return needed ? x.value() : Tensor(); }
// The same for an activation, which may be cheaper to make again than to keep.
inline Saved saved_activation_if(bool needed, const Variable& x) { return needed ? Saved(x) : Saved(); }

// The dtype of statistics about tensors of `dtype`: Wide<T> of tensor/dtype.h at run time.
inline Dtype wide(Dtype dtype) { return dtype == Dtype::f64 ? Dtype::f64 : Dtype::f32; }

// Throws "op: ..." unless all that are defined share x's floating dtype and its device.
template <class... Others>
void check_alike(const char* op, const Variable& x, const Others&... others) {
  check(is_floating(x.dtype()), "{}: expected a floating dtype, got {}", op, x.dtype());
  [[maybe_unused]] const auto agree = [&](const Variable& other) {
    if (!other.defined()) return;
    check(other.dtype() == x.dtype() && other.device() == x.device(),
          "{}: operands differ: {} on {}, {} on {}", op, x.dtype(), x.device(), other.dtype(),
          other.device());
  };
  (agree(others), ...);
}

}  // namespace nabla
