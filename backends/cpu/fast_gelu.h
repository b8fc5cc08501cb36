// GELU for the epilogue of a product, and for tensors of bf16 its gradient, too.
//
// GELU is x cdf(x), cdf the normal distribution's, which is max(x, 0) - t (1 - cdf(t)) with t = |x|. What is taken away is a
// bump near 0 that fades to both sides, so that one polynomial up to some t is enough, without a division: a division takes
// as long as all the rest.
#pragma once

#include <cstdint>
#include <iterator>

#include "backends/cpu/float_vector.h"

namespace nabla {

// 1 - cdf(t) as a polynomial of t - most / 2 for t up to `most`: a minimax fit of GELU's own error (Lawson's iteration). Beyond
// `most` so little is taken away that it may stay what it is there.
// Off by at most 9e-7, in sums that products of f32 round by as much.
struct GeluFit {
  static constexpr float most = 5.4f;
  static constexpr float tail[] = {0.00346718613f,  -0.0104211318f,  0.0140646767f,   -0.0109225127f,
                                   0.00503896657f,  -0.00108240285f, -0.00019509129f, 0.000205093312f,
                                   -4.35152834e-5f, -7.67196773e-6f, 4.80681826e-6f,  -3.16907559e-7f,
                                   -1.6185033e-7f,  2.47755924e-8f};
};
// Off by at most 1.4e-5, for products of int8, whose steps are a thousand times as wide, and of bf16, which rounds all but small
// results by more.
struct ShortGeluFit {
  static constexpr float most = 4.4f;
  static constexpr float tail[] = {0.0139002876f,  -0.0354546132f,  0.0390588785f,   -0.0228103656f,
                                   0.00592424367f, 0.000925226225f, -0.00105819548f, 0.000161112627f,
                                   5.13906995e-5f, -1.40227424e-5f};
};

// The derivative of GELU is cdf(x) + x density(x): with s(t) = 1 - cdf(t) - t density(t) it is s(t) for x < 0 and 1 - s(t)
// for x > 0. This is s, fitted as above, off by at most 2e-5.
struct GeluSlopeFit {
  static constexpr float most = 5.0f;
  static constexpr float tail[] = {-0.0376052484f,   0.0744383857f,    -0.0493867956f,  -0.00172059226f,
                                   0.0215561911f,    -0.0121248644f,   0.000807012431f, 0.00183694193f,
                                   -0.000566339062f, -0.000101892394f, 5.6572866e-05f,  1.77628658e-06f,
                                   -1.98223029e-06f};
};

// Of some vectors t = |x|, `most` at most, and the polynomial at t, each step of all before the next: one vector alone would wait
// for its own results.
// Always inlined: files that may fuse products with sums and files that may not each need a copy of their own.
template <class Fit>
[[gnu::always_inline]] inline void evaluate(const FloatVector (&x)[line_vectors],
                                            FloatVector (&t)[line_vectors],
                                            FloatVector (&tail)[line_vectors]) {
  constexpr int terms = static_cast<int>(std::size(Fit::tail));
  constexpr float most = Fit::most;
#pragma GCC unroll 4
  for (int64_t i = 0; i < line_vectors; ++i) {
    t[i] = x[i] < 0 ? -x[i] : x[i];
    t[i] = t[i] > most ? FloatVector{} + most : t[i];
    tail[i] = FloatVector{} + Fit::tail[terms - 1];
  }
#pragma GCC unroll 16
  for (int power = terms - 2; power >= 0; --power) {
#pragma GCC unroll 4
    for (int64_t i = 0; i < line_vectors; ++i)
      tail[i] = fused_multiply_add(tail[i], t[i] - most / 2, FloatVector{} + Fit::tail[power]);
  }
}

// The GELU of some vectors.
template <class Fit>
[[gnu::always_inline]] inline void fast_gelu(FloatVector (&x)[line_vectors]) {
  FloatVector t[line_vectors], tail[line_vectors];
  evaluate<Fit>(x, t, tail);
#pragma GCC unroll 4
  for (int64_t i = 0; i < line_vectors; ++i)
    x[i] = fused_multiply_add(-t[i], tail[i], x[i] > 0 ? x[i] : FloatVector{});
}

// The derivative of GELU at some vectors.
[[gnu::always_inline]] inline void fast_gelu_slope(FloatVector (&x)[line_vectors]) {
  FloatVector t[line_vectors], tail[line_vectors];
  evaluate<GeluSlopeFit>(x, t, tail);
#pragma GCC unroll 4
  for (int64_t i = 0; i < line_vectors; ++i) x[i] = x[i] > 0 ? 1 - tail[i] : tail[i];
}

}  // namespace nabla
