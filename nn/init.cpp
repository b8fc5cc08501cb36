#include "nn/init.h"

#include <cmath>
#include <vector>

namespace nabla {

namespace {
template <class Draw>
void fill_with(const Variable& parameter, Draw draw) {
  std::vector<double> values(static_cast<size_t>(parameter.value().numel()));
  for (double& value : values) value = draw();
  parameter.value().copy_from(Tensor::from(values, parameter.shape()));
}
}  // namespace

void truncated_normal(const Variable& parameter, double std, double cut, Generator& generator) {
  check(std > 0 && cut > 0, "truncated_normal: std {} and cut {} must be positive", std, cut);
  fill_with(parameter, [&] {
    double value = std * generator.normal();
    while (std::abs(value) > cut) value = std * generator.normal();
    return value;
  });
}

void xavier_uniform(const Variable& weight, Generator& generator) {
  check(weight.shape().rank() >= 2 && weight.value().numel() > 0,
        "xavier_uniform: a weight of {} has no fan-in and fan-out", weight.shape());
  const int64_t receptive = weight.value().numel() / (weight.size(0) * weight.size(1));
  const double bound = std::sqrt(6.0 / static_cast<double>((weight.size(0) + weight.size(1)) * receptive));
  fill_with(weight, [&] { return bound * (2 * generator.uniform() - 1); });
}

}  // namespace nabla
