// Gradient clipping by the global norm (Pascanu et al. 2013).
#pragma once

#include <vector>

#include "autograd/variable.h"

namespace nabla {

// The L2 norm of all gradients together, accumulated in f64; parameters without a gradient count 0, one that is
// listed twice (tied weights) counts once.
double grad_norm(const std::vector<Variable>& parameters);
// (2) of f64 on the gradients' device: their norm, and clip_factor(norm, max_norm), which is NaN for a norm that
// is not finite. Nothing is read on the host.
Tensor norm_and_clip_factor(const std::vector<Variable>& parameters, double max_norm);
// What torch multiplies the gradients by so that their norm is at most max_norm: min(1, max_norm /
// (norm + 1e-6)). Throws Error for a norm that is not finite, as gradients with a NaN have no direction to keep, and for a
// max_norm that is not above 0.
double clip_factor(double norm, double max_norm);
// Replaces the gradients by scaled ones and returns their norm before that. Throws as clip_factor() does, and then
// changes nothing.
double clip_grad_norm(const std::vector<Variable>& parameters, double max_norm);

}  // namespace nabla
