// Products of a few rows whose sums stay in registers: what attention multiplies with. A product of
// 64 columns takes 24 of AVX-512's 32 registers for its sums, so each of its multiply-adds waits for
// no memory but the first-level cache's. Where the compiler is not told of AVX-512 there is none,
// and oneDNN multiplies.
#pragma once

#include <cstdint>
#include <cstring>

#include "tensor/bfloat16.h"

#ifdef __AVX512F__
#include <immintrin.h>
#endif

namespace nabla {

inline constexpr int64_t register_rows = 6;

// Columns of one call: four vectors of W.
template <class W>
inline constexpr int64_t register_columns = 4 * 64 / static_cast<int64_t>(sizeof(W));

// How many elements one multiply-add of a lane takes: bf16 is multiplied in pairs.
template <class E>
inline constexpr int64_t register_pair = 1;

// c (register_rows, register_columns) = start + a (register_rows, depth) b (depth, register_columns). `start`
// is null for zeros, or has rows of start_stride elements: c itself, or one row for all with a stride of 0.
// a and c have rows of a_stride and c_stride elements. b is contiguous, its rows in bundles of
// register_pair<E>, the elements of one column side by side: (depth / pair, columns, pair). depth is a
// multiple of the pair.
template <class E, class W>
void register_product(const E* a, int64_t a_stride, const E* b, int64_t depth, W* c, int64_t c_stride,
                      const W* start = nullptr, int64_t start_stride = 0);

// Rounds register_lanes sums to elements.
inline constexpr int64_t register_lanes = 16;
template <class E>
void register_narrow(const float* from, E* to);

// Whether all this exists for elements E on the processor that is compiled for.
template <class E>
inline constexpr bool has_register_product = false;

#ifdef __AVX512F__

template <>
inline constexpr bool has_register_product<float> = true;
template <>
inline constexpr bool has_register_product<double> = true;

template <class E, class W>
struct RegisterLanes {
  using Vector __attribute__((vector_size(64))) = W;
  static Vector load(const E* from) {
    Vector v;
    memcpy(&v, from, sizeof v);
    return v;
  }
  static Vector broadcast(const E* from) { return *from - Vector{}; }
  static void multiply_add(Vector& sum, Vector a, Vector b) { sum += a * b; }
};

#ifdef __AVX512BF16__
template <>
inline constexpr bool has_register_product<BFloat16> = true;
template <>
inline constexpr int64_t register_pair<BFloat16> = 2;

template <>
struct RegisterLanes<BFloat16, float> {
  using Vector = __m512;
  using Pairs = __m512i;
  static Pairs load(const BFloat16* from) { return _mm512_loadu_si512(from); }
  static Pairs broadcast(const BFloat16* from) {
    int pair;
    memcpy(&pair, from, sizeof pair);
    return _mm512_set1_epi32(pair);
  }
  static void multiply_add(Vector& sum, Pairs a, Pairs b) {
    sum = _mm512_dpbf16_ps(sum, reinterpret_cast<__m512bh>(a), reinterpret_cast<__m512bh>(b));
  }
};

template <>
inline void register_narrow(const float* from, BFloat16* to) {
  const __m256bh narrow = _mm512_cvtneps_pbh(_mm512_loadu_ps(from));
  memcpy(static_cast<void*>(to), &narrow, sizeof narrow);
}
#endif

template <class E, class W>
void register_product(const E* a, int64_t a_stride, const E* b, int64_t depth, W* c, int64_t c_stride,
                      const W* start, int64_t start_stride) {
  using Lanes = RegisterLanes<E, W>;
  constexpr int64_t pair = register_pair<E>, columns = register_columns<W>, lanes = columns / 4;
  typename Lanes::Vector sums[register_rows][4] = {};
  if (start != nullptr) {
#pragma GCC unroll 6
    for (int64_t i = 0; i < register_rows; ++i) {
      for (int64_t j = 0; j < 4; ++j) {
        memcpy(&sums[i][j], start + i * start_stride + j * lanes, sizeof sums[i][j]);
      }
    }
  }
  for (int64_t k = 0; k < depth; k += pair, b += columns * pair) {
    const auto b0 = Lanes::load(b), b1 = Lanes::load(b + lanes * pair);
    const auto b2 = Lanes::load(b + 2 * lanes * pair), b3 = Lanes::load(b + 3 * lanes * pair);
#pragma GCC unroll 6
    for (int64_t i = 0; i < register_rows; ++i) {
      const auto left = Lanes::broadcast(a + i * a_stride + k);
      Lanes::multiply_add(sums[i][0], left, b0);
      Lanes::multiply_add(sums[i][1], left, b1);
      Lanes::multiply_add(sums[i][2], left, b2);
      Lanes::multiply_add(sums[i][3], left, b3);
    }
  }
#pragma GCC unroll 6
  for (int64_t i = 0; i < register_rows; ++i) {
    for (int64_t j = 0; j < 4; ++j) memcpy(c + i * c_stride + j * lanes, &sums[i][j], sizeof sums[i][j]);
  }
}

#endif

}  // namespace nabla
