// GELU for the epilogue of a product.
#pragma once

#include <cstdint>
#include <cstring>
#include <iterator>

namespace nabla {

// GELU is x cdf(x), cdf the normal distribution's: 0.5 + x P(x^2) / Q(x^2) between -most and most, a minimax fit of |x| times
// its error (Lawson's iteration).
// Off by at most 2e-6, in sums that products of f32 round by as much.
struct GeluFit {
  static constexpr float most = 5.5f;
  static constexpr float p[] = {0.39894204807f, 0.035062478669f,   0.0047563266771f,
                                0.00018194158f, 6.5141263132e-06f, 2.222164639e-08f};
  static constexpr float q[] = {
      1.0f, 0.25455260041f, 0.029351729741f, 0.0019575258514f, 7.8255335342e-05f, 1.1942831059e-06f};
};
// Off by at most 3e-6, for products of int8, which are four times as fast or more, and of bf16, which rounds by far more.
struct ShortGeluFit {
  static constexpr float most = 4.9f;
  static constexpr float p[] = {0.398962585f, 0.0279464528f, 0.00416900788f, 4.74697614e-05f,
                                -9.26698453e-08f};
  static constexpr float q[] = {1.0f, 0.236876064f, 0.0247630406f, 0.00138808106f};
};

// The GELU of each. Each step is taken for four vectors before the next: one alone would wait for its own results.
// Always inlined: files that may fuse products with sums and files that may not each need a copy of their own.
template <class Fit, int64_t size>
[[gnu::always_inline]] inline void fast_gelu(float (&values)[size]) {
  constexpr float most = Fit::most;
  constexpr int terms_of_p = static_cast<int>(std::size(Fit::p)),
                terms_of_q = static_cast<int>(std::size(Fit::q));
  using Vector [[gnu::vector_size(__BIGGEST_ALIGNMENT__)]] = float;  // as wide as the processor's
  constexpr int64_t some = 4, step = some * static_cast<int64_t>(sizeof(Vector) / sizeof(float));
  static_assert(size % step == 0);
  for (float* from = values; from < values + size; from += step) {
    Vector x[some], inside[some], square[some], numerator[some], denominator[some];
#pragma GCC unroll 4
    for (int64_t i = 0; i < some; ++i) {
      memcpy(&x[i], from + i * step / some, sizeof x[i]);
      const Vector low = x[i] < -most ? Vector{} - most : x[i];
      inside[i] = low > most ? Vector{} + most : low;
      square[i] = inside[i] * inside[i];
      numerator[i] = Vector{} + Fit::p[terms_of_p - 1], denominator[i] = Vector{} + Fit::q[terms_of_q - 1];
    }
#pragma GCC unroll 5
    for (int power = terms_of_p - 2; power >= 0; --power) {
#pragma GCC unroll 4
      for (int64_t i = 0; i < some; ++i) numerator[i] = numerator[i] * square[i] + Fit::p[power];
    }
#pragma GCC unroll 5
    for (int power = terms_of_q - 2; power >= 0; --power) {
#pragma GCC unroll 4
      for (int64_t i = 0; i < some; ++i) denominator[i] = denominator[i] * square[i] + Fit::q[power];
    }
#pragma GCC unroll 4
    for (int64_t i = 0; i < some; ++i) {
      const Vector cdf = 0.5f + inside[i] * numerator[i] / denominator[i];
      x[i] *= x[i] < -most ? Vector{} : cdf;
      memcpy(from + i * step / some, &x[i], sizeof x[i]);
    }
  }
}

}  // namespace nabla
