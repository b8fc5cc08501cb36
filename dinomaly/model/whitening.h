// Feature whitening: the encoder's features, turned and scaled so that no direction dominates.
//
// The features of a weak encoder (random, or trained on little) vary along a few directions far more than along all
// others, and lie far from 0. A cosine then sees those few and the mean, and an anomaly hardly moves it.
//
// [snippet: whitening]
//   x (D): the bottleneck's input at each token, or a group's target at each patch, of all training images
//   m, C: their mean and covariance
//   C = U L U^T, the eigenvalues L in falling order; U_r, L_r: the first `rank` of them
//   W = U_r (L_r + lambda mean(L))^-1/2 U_r^T      (ZCA; the other directions are dropped)
//   y = (x - m) W
// [end]
#pragma once

#include <cstdint>
#include <map>
#include <mutex>
#include <string>
#include <vector>

#include "dinomaly/base/framework.h"
#include "nn/module.h"

namespace dinomaly {

struct Whitening {
  Tensor mean;    // (D), f32
  Tensor matrix;  // (D, D), f32, symmetric
};

// Mean and covariance in one pass, in f64.
class WhiteningFit {
 public:
  explicit WhiteningFit(int64_t width);
  // x (B, N, D), of any dtype and device. Each of the B is a piece of its own and pieces are added in their order,
  // so that no sum depends on the number of threads or on the batch.
  void add(const Tensor& x);
  // `shrinkage`: lambda above. The covariance is divided by the number of tokens. Throws InputError for a rank out of
  // [1, D], for fewer tokens than it, and where the covariance is not finite or 0.
  Whitening compute(int64_t rank, double shrinkage) const;

 private:
  int64_t tokens_ = 0;
  Tensor sum_, products_;  // (1, D) and (D, D), on the CPU
};

// One for each part of Features: part 0 is the bottleneck's input, part 1 + g group g. Names are whitening.input.mean,
// whitening.input.matrix, whitening.G.mean, .... They are constants like the encoder's weights: saved and loaded with the
// model, never trained. At first the identity.
class FeatureWhitening : public Module {
 public:
  FeatureWhitening(int64_t width, size_t groups);
  static std::string name_of(size_t part);
  void set(size_t part, const Whitening& whitening);
  // x (B, N, D) -> the same shape, dtype and device; computed in f32 at least.
  Tensor operator()(size_t part, const Tensor& x) const;

 private:
  struct Part {
    Variable mean, matrix;
  };
  // Copies where they are needed, of the values that they were made of.
  struct Placed {
    Tensor from_mean, from_matrix, mean, matrix;
  };
  Placed placed(size_t part, Dtype dtype, Device device) const;

  std::vector<Part> parts_;
  mutable std::mutex mutex_;
  mutable std::vector<Placed> placed_;
};

}  // namespace dinomaly
