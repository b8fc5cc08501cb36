// Losses that need no labels. All are composed of ops.
#pragma once

#include <cstdint>

#include "autograd/ops/ops.h"

namespace nabla {

// x / sqrt(|x|^2 + eps) over the last axis.
Variable l2_normalize(const Variable& x, double eps = 1e-12);

// InfoNCE (van den Oord et al. 2018): the mean over the queries of
//   -log(exp(q . k_p / tau) / sum over keys j of exp(q . k_j / tau)),
// with q and k normalised to length 1. queries (N, D), keys (M, D), positives (N) i64: the key p of each query, in
// [0, M), or ignored_label: such a query does not count (at least one must).
Variable info_nce(const Variable& queries, const Variable& keys, const Tensor& positives, double temperature);

// VICReg's (Bardes et al. 2022) two terms that keep features from collapsing, of x (N, D), N >= 2. Both are 0 for
// columns that are uncorrelated and have a deviation of 1 or more.
struct VarianceCovariance {
  Variable variance;    // mean over the columns of max(0, 1 - sqrt(var + 1e-4))
  Variable covariance;  // sum over all i != j of the squared covariance of columns i and j, divided by D
};
VarianceCovariance variance_covariance(const Variable& x);

}  // namespace nabla
