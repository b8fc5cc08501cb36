// As many numbers in f32 as one register of the processor holds, for loops over the sums of a product.
#pragma once

#include <cstdint>
#include <cstring>

#ifdef __FMA__
#include <immintrin.h>
#endif

namespace nabla {

using FloatVector [[gnu::vector_size(__BIGGEST_ALIGNMENT__)]] = float;
inline constexpr int64_t float_lanes = sizeof(FloatVector) / sizeof(float);

// What is computed side by side, as one vector alone would wait for its own results.
inline constexpr int64_t line_vectors = 4;

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
[[gnu::always_inline]] inline FloatVector fused_multiply_add(FloatVector a, FloatVector b, FloatVector c) {
#if defined(__AVX512F__)
  return _mm512_fmadd_ps(a, b, c);
#elif defined(__FMA__)
  return _mm256_fmadd_ps(a, b, c);
#else
  FloatVector sum;
#pragma GCC unroll 8
  for (int64_t i = 0; i < float_lanes; ++i) sum[i] = fused_multiply_add(a[i], b[i], c[i]);
  return sum;
#endif
}

// As bits of bf16, where the processor has no instruction for it, and as that has it: to nearest, ties to even, what is less
// than the normal numbers to 0 of its sign.
[[gnu::always_inline]] inline auto rounded_to_bf16(FloatVector x) {
  using Words [[gnu::vector_size(4 * float_lanes)]] = uint32_t;
  using SignedWords [[gnu::vector_size(4 * float_lanes)]] = int32_t;  // AVX2 compares no others
  using Halves [[gnu::vector_size(2 * float_lanes)]] = uint16_t;
  constexpr uint32_t sign = 0x80000000, quiet = 0x00400000;
  constexpr int32_t infinity = 0x7f800000, least_normal = 0x00800000;
  const Words word = reinterpret_cast<Words>(x);
  const SignedWords magnitude = reinterpret_cast<SignedWords>(word & ~sign);
  // Masks, as a choice between two vectors takes longer.
  const Words is_nan = reinterpret_cast<Words>(magnitude > infinity),
              is_normal = reinterpret_cast<Words>(magnitude >= least_normal);
  const Words step = (0x7fff + (word >> 16 & 1)) & ~is_nan;
  const Words rounded = ((word + step) | (is_nan & quiet)) & (is_normal | sign);
  return __builtin_convertvector(rounded >> 16, Halves);
}

}  // namespace nabla
