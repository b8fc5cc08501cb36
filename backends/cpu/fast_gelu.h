// GELU for the epilogue of a product.
//
// GELU is x cdf(x), cdf the normal distribution's, which is max(x, 0) - t (1 - cdf(t)) with t = |x|. What is taken away is a
// bump near 0 that fades to both sides, so that one polynomial up to some t is enough, without a division: a division takes
// as long as all the rest.
#pragma once

#include <cstdint>
#include <cstring>
#include <iterator>

#ifdef __FMA__
#include <immintrin.h>
#endif

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
// Off by at most 1.4e-5, for products of int8, whose steps are a thousand times as wide, and of bf16, which rounds by far more.
struct ShortGeluFit {
  static constexpr float most = 4.4f;
  static constexpr float tail[] = {0.0139002876f,  -0.0354546132f,  0.0390588785f,   -0.0228103656f,
                                   0.00592424367f, 0.000925226225f, -0.00105819548f, 0.000161112627f,
                                   5.13906995e-5f, -1.40227424e-5f};
};

using GeluVector [[gnu::vector_size(__BIGGEST_ALIGNMENT__)]] = float;  // as wide as the processor's
inline constexpr int64_t gelu_lanes = sizeof(GeluVector) / sizeof(float);

// a b + c, rounded once, where the processor has no instruction for it. f64 holds the product; the sum is rounded "to odd": one
// that f64 does not hold gets its last bit set, and so is not taken for a tie when it becomes f32.
inline float emulated_multiply_add(float a, float b, float c) {
  const double product = static_cast<double>(a) * b, sum = product + c, added = sum - product;
  const double lost = (product - (sum - added)) + (c - added);
  int64_t bits;
  memcpy(&bits, &sum, sizeof bits);
  const int64_t toward_zero = (lost < 0) != (sum < 0) ? 1 : 0;
  const int64_t odd = lost != 0 && sum - sum == 0 ? (bits - toward_zero) | 1 : bits;
  double rounded;
  memcpy(&rounded, &odd, sizeof rounded);
  return static_cast<float>(rounded);
}

// a b + c, rounded once: all processors get the same bits.
inline float fused_multiply_add(float a, float b, float c) {
#if defined(__FMA__) || defined(__aarch64__)
  return __builtin_fmaf(a, b, c);
#else
  return emulated_multiply_add(a, b, c);
#endif
}
[[gnu::always_inline]] inline GeluVector fused_multiply_add(GeluVector a, GeluVector b, GeluVector c) {
#if defined(__AVX512F__)
  return _mm512_fmadd_ps(a, b, c);
#elif defined(__FMA__)
  return _mm256_fmadd_ps(a, b, c);
#else
  GeluVector sum;
#pragma GCC unroll 8
  for (int64_t i = 0; i < gelu_lanes; ++i) sum[i] = fused_multiply_add(a[i], b[i], c[i]);
  return sum;
#endif
}

// The GELU of each. Each step is taken for four vectors before the next: one alone would wait for its own results.
// Always inlined: files that may fuse products with sums and files that may not each need a copy of their own.
template <class Fit, int64_t size>
[[gnu::always_inline]] inline void fast_gelu(float (&values)[size]) {
  constexpr int terms = static_cast<int>(std::size(Fit::tail));
  constexpr int64_t some = 4, step = some * gelu_lanes;
  constexpr float most = Fit::most;
  static_assert(size % step == 0);
  for (float* from = values; from < values + size; from += step) {
    GeluVector x[some], t[some], tail[some];
#pragma GCC unroll 8
    for (int64_t i = 0; i < some; ++i) {
      memcpy(&x[i], from + i * gelu_lanes, sizeof x[i]);
      t[i] = x[i] < 0 ? -x[i] : x[i];
      t[i] = t[i] > most ? GeluVector{} + most : t[i];
      tail[i] = GeluVector{} + Fit::tail[terms - 1];
    }
#pragma GCC unroll 16
    for (int power = terms - 2; power >= 0; --power) {
#pragma GCC unroll 8
      for (int64_t i = 0; i < some; ++i)
        tail[i] = fused_multiply_add(tail[i], t[i] - most / 2, GeluVector{} + Fit::tail[power]);
    }
#pragma GCC unroll 8
    for (int64_t i = 0; i < some; ++i) {
      x[i] = fused_multiply_add(-t[i], tail[i], x[i] > 0 ? x[i] : GeluVector{});
      memcpy(from + i * gelu_lanes, &x[i], sizeof x[i]);
    }
  }
}

}  // namespace nabla
