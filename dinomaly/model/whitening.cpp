#include "dinomaly/model/whitening.h"

// GCC 12 takes the deliberately undefined operands of its own AVX-512 intrinsics, inlined into Eigen,
// for a mistake.
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"

#include <fmt/format.h>

#include <Eigen/Eigenvalues>
#include <algorithm>
#include <cmath>

#include "autograd/grad_mode.h"
#include "autograd/ops/ops.h"
#include "tensor/ops.h"

namespace dinomaly {

namespace {

using Square = Eigen::Matrix<double, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;

Tensor identity(int64_t width) {
  Tensor result = Tensor::zeros({width, width});
  for (int64_t i = 0; i < width; ++i) result.data<float>()[i * width + i] = 1;
  return result;
}

}  // namespace

WhiteningFit::WhiteningFit(int64_t width)
    : sum_(Tensor::zeros({1, width}, Dtype::f64)), products_(Tensor::zeros({width, width}, Dtype::f64)) {}

void WhiteningFit::add(const Tensor& x) {
  check(x.rank() == 3 && x.size(2) == sum_.size(1), "whitening: x {} is not (B, N, {})", x.shape(),
        sum_.size(1));
  const Tensor wide = x.to(Device::cpu()).to(Dtype::f64);
  for (int64_t i = 0; i < wide.size(0); ++i) {
    const Tensor piece = wide.select(0, i);
    add_(sum_, reduce(Reduce::sum, piece, {0}, true));
    add_(products_, matmul(piece, true, piece, false));
  }
  tokens_ += wide.size(0) * wide.size(1);
}

Whitening WhiteningFit::compute(int64_t rank, double shrinkage) const {
  const int64_t width = sum_.size(1);
  check_input(rank >= 1 && rank <= width, "feature_whitening: rank {} is not in [1, {}], the encoder's width",
              rank, width);
  check_input(tokens_ >= rank, "feature_whitening: rank {}, but the training images have only {} tokens",
              rank, tokens_);
  const Tensor mean = sum_ * (1.0 / static_cast<double>(tokens_));
  const Tensor covariance =
      products_ * (1.0 / static_cast<double>(tokens_)) - matmul(mean, true, mean, false);
  check_input(is_finite(covariance), "feature_whitening: the covariance of the features is not finite");
  const Eigen::SelfAdjointEigenSolver<Square> solver(
      Eigen::Map<const Square>(covariance.data<double>(), width, width));
  check_input(solver.info() == Eigen::Success,
              "feature_whitening: the covariance of the features has no eigenvalues that could be found");
  std::vector<double> variances(static_cast<size_t>(width));  // rising; rounding can leave them below 0
  double sum = 0;
  for (int64_t i = 0; i < width; ++i)
    sum += variances[static_cast<size_t>(i)] = std::max(solver.eigenvalues()[i], 0.0);
  const double floor = shrinkage * sum / static_cast<double>(width);
  check_input(floor > 0, "feature_whitening: the features of the training images do not vary");
  // Half of W's powers to each side: W = V V^T.
  const Square leading = solver.eigenvectors().rightCols(rank);
  const Tensor half = Tensor::empty({width, rank}, Dtype::f64);
  for (int64_t i = 0; i < width; ++i) {
    for (int64_t j = 0; j < rank; ++j) {
      half.data<double>()[i * rank + j] =
          leading(i, j) * std::pow(variances[static_cast<size_t>(width - rank + j)] + floor, -0.25);
    }
  }
  return {mean.reshape({width}).to(Dtype::f32), matmul(half, false, half, true).to(Dtype::f32)};
}

FeatureWhitening::FeatureWhitening(int64_t width, size_t groups) : placed_(1 + groups) {
  for (size_t part = 0; part <= groups; ++part) {
    parts_.push_back({buffer(name_of(part) + ".mean", Tensor::zeros({width})),
                      buffer(name_of(part) + ".matrix", identity(width))});
  }
}

std::string FeatureWhitening::name_of(size_t part) { return part == 0 ? "input" : std::to_string(part - 1); }

void FeatureWhitening::set(size_t part, const Whitening& whitening) {
  parts_.at(part).mean.set_value(whitening.mean);
  parts_.at(part).matrix.set_value(whitening.matrix);
}

FeatureWhitening::Placed FeatureWhitening::placed(size_t part, Dtype dtype, Device device) const {
  const Tensor mean = parts_.at(part).mean.value(), matrix = parts_.at(part).matrix.value();
  const std::lock_guard lock(mutex_);
  Placed& kept = placed_[part];
  const bool fits = kept.mean.defined() && kept.from_mean.storage() == mean.storage() &&
                    kept.from_matrix.storage() == matrix.storage() && kept.mean.dtype() == dtype &&
                    kept.mean.device() == device;
  if (!fits) kept = {mean, matrix, mean.to(device).to(dtype), matrix.to(device).to(dtype)};
  return kept;
}

Tensor FeatureWhitening::operator()(size_t part, const Tensor& x) const {
  const Dtype wide = x.dtype() == Dtype::bf16 ? Dtype::f32 : x.dtype();
  const Placed here = placed(part, wide, x.device());
  const NoGrad no_recording;
  const Variable centred(x.to(wide) - here.mean);
  return linear(centred, Variable(here.matrix), {}).value().to(x.dtype());  // the matrix is symmetric
}

}  // namespace dinomaly
