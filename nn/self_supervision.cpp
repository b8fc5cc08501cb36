#include "nn/self_supervision.h"

#include "tensor/error.h"

namespace nabla {

Variable l2_normalize(const Variable& x, double eps) { return x * rsqrt(sum(x * x, {-1}, true) + eps); }

Variable info_nce(const Variable& queries, const Variable& keys, const Tensor& positives,
                  double temperature) {
  check(queries.shape().rank() == 2 && keys.shape().rank() == 2 && queries.size(1) == keys.size(1),
        "info_nce: queries {} and keys {} are not (N, D) and (M, D)", queries.shape(), keys.shape());
  check(temperature > 0, "info_nce: a temperature of {} is not positive", temperature);
  const Variable similarity = matmul(l2_normalize(queries), l2_normalize(keys), false, true);
  return cross_entropy(similarity * (1 / temperature), positives);
}

VarianceCovariance variance_covariance(const Variable& x) {
  check(x.shape().rank() == 2 && x.size(0) >= 2, "variance_covariance: {} is not (N, D) with N >= 2",
        x.shape());
  const auto rows = static_cast<double>(x.size(0)), columns = static_cast<double>(x.size(1));
  const Variable centred = x - mean(x, {0}, true);
  const Variable variances = sum(centred * centred, {0}) * (1 / (rows - 1));
  const Variable products = matmul(centred, centred, true) * (1 / (rows - 1));
  const Variable squares = sum(products * products) - sum(variances * variances);
  return {mean(relu(1 - sqrt(variances + 1e-4))), squares * (1 / columns)};
}

}  // namespace nabla
