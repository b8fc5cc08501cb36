// Products of a few rows whose sums stay in registers: what attention and packed products multiply with. The sums of 6
// rows take 24 of the 32 registers of AVX-512 (64 columns of f32) and of NEON (16 columns), or 12 of the 16 of AVX2 (16
// columns), so each multiply-add waits for no memory but the first-level cache's. A compiler that is not told of any of
// these gets none, and oneDNN multiplies.
#pragma once

#include <cstdint>
#include <cstring>

#include "tensor/bfloat16.h"

#ifdef __AVX512BF16__
#include <cpuid.h>
#include <immintrin.h>

#include <algorithm>
#include <type_traits>
#endif

namespace nabla {

inline constexpr int64_t register_rows = 6;

// The bytes of a vector, and how many vectors side by side hold a row's sums.
#if defined(__AVX512F__)
inline constexpr bool has_multiply_add = true;
inline constexpr int64_t register_bytes = 64, register_vectors = 4;
#elif defined(__AVX2__) && defined(__FMA__)
inline constexpr bool has_multiply_add = true;
inline constexpr int64_t register_bytes = 32, register_vectors = 2;
#else
#ifdef __aarch64__
inline constexpr bool has_multiply_add = true;
#else
inline constexpr bool has_multiply_add = false;
#endif
inline constexpr int64_t register_bytes = 16, register_vectors = 4;
#endif

// Columns of one call.
template <class W>
inline constexpr int64_t register_columns = register_vectors* register_bytes /
                                            static_cast<int64_t>(sizeof(W));

// How many elements one multiply-add of a lane takes: bf16 is multiplied in pairs.
template <class E>
inline constexpr int64_t register_pair = 1;

// c (register_rows, register_columns) = start + a (register_rows, depth) b (depth, register_columns). `start`
// is null for zeros, or has rows of start_stride elements: c itself, or one row for all with a stride of 0.
// a and c have rows of a_stride and c_stride elements. b is contiguous, its rows in bundles of
// register_pair<E>, the elements of one column side by side: (depth / pair, columns, pair). depth is a
// multiple of the pair. With an a_stride of `bundled` a is in such an order too: (depth / pair, register_rows, pair).
inline constexpr int64_t bundled = 0;
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

template <>
inline constexpr bool has_register_product<float> = has_multiply_add;
template <>
inline constexpr bool has_register_product<double> = has_multiply_add;

template <class E, class W>
struct RegisterLanes {
  using Vector __attribute__((vector_size(register_bytes))) = W;
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

template <class Vector, class W>
inline void begin_sums(Vector (&sums)[register_rows][register_vectors], const W* start, int64_t stride) {
  constexpr int64_t lanes = register_columns<W> / register_vectors;
  if (start == nullptr) return;
#pragma GCC unroll 6
  for (int64_t i = 0; i < register_rows; ++i) {
    for (int64_t j = 0; j < register_vectors; ++j)
      memcpy(&sums[i][j], start + i * stride + j * lanes, sizeof sums[i][j]);
  }
}

template <class Vector, class W>
inline void store_sums(const Vector (&sums)[register_rows][register_vectors], W* c, int64_t stride) {
  constexpr int64_t lanes = register_columns<W> / register_vectors;
#pragma GCC unroll 6
  for (int64_t i = 0; i < register_rows; ++i) {
    for (int64_t j = 0; j < register_vectors; ++j)
      memcpy(c + i * stride + j * lanes, &sums[i][j], sizeof sums[i][j]);
  }
}

// The pair of row i that begins at depth k.
template <bool is_bundled, class E>
const E* left_pair(const E* a, int64_t a_stride, int64_t i, int64_t k) {
  return is_bundled ? a + k * register_rows + i * register_pair<E> : a + i * a_stride + k;
}

// register_product() by the processor's instruction for E. Not inlined: with what is around it, the compiler runs out of
// registers, and sums go to memory and back, at a third of the speed.
template <bool is_bundled, class E, class W>
[[gnu::noinline]] void direct_product(const E* a, int64_t a_stride, const E* b, int64_t depth, W* c,
                                      int64_t c_stride, const W* start, int64_t start_stride) {
  using Lanes = RegisterLanes<E, W>;
  constexpr int64_t pair = register_pair<E>, columns = register_columns<W>,
                    lanes = columns / register_vectors;
  typename Lanes::Vector sums[register_rows][register_vectors] = {};
  begin_sums(sums, start, start_stride);
  if (depth <= 0) __builtin_unreachable();  // or else sums move to memory and back after the loop
  for (int64_t k = 0; k < depth; k += pair, b += columns * pair) {
    decltype(Lanes::load(b)) right[register_vectors];
#pragma GCC unroll 4
    for (int64_t j = 0; j < register_vectors; ++j) right[j] = Lanes::load(b + j * lanes * pair);
#pragma GCC unroll 6
    for (int64_t i = 0; i < register_rows; ++i) {
      const auto left = Lanes::broadcast(left_pair<is_bundled>(a, a_stride, i, k));
#pragma GCC unroll 4
      for (int64_t j = 0; j < register_vectors; ++j) Lanes::multiply_add(sums[i][j], left, right[j]);
    }
  }
  store_sums(sums, c, c_stride);
}

#ifdef __AVX512BF16__
// Whether the instruction for pairs of bf16 takes longer than two multiply-adds of f32. So it is on Intel's processors
// with AVX512-FP16, where tiles are meant for bf16 and not every virtual machine has them: it multiplies 41 billion times
// a second there, f32's 84 billion times.
inline bool has_slow_pairs() {
  static const bool slow = [] {
    unsigned a = 0, b = 0, c = 0, d = 0;
    return __get_cpuid_count(7, 0, &a, &b, &c, &d) != 0 && (d >> 23 & 1) != 0;
  }();
  return slow;
}

// sums += wide * one of each pair of b, the second if `second`. wide has rows of `stride`.
template <bool second>
inline void add_half_pairs(__m512 (&sums)[register_rows][register_vectors], const float* wide, int64_t stride,
                           const BFloat16* b) {
  using Pairs __attribute__((vector_size(64))) = uint32_t;
  __m512 half[4];
#pragma GCC unroll 4
  for (int64_t j = 0; j < 4; ++j) {
    Pairs pairs;
    memcpy(&pairs, b + 32 * j, sizeof pairs);
    half[j] = reinterpret_cast<__m512>(second ? pairs & 0xffff0000U : pairs << 16);
  }
#pragma GCC unroll 6
  for (int64_t i = 0; i < register_rows; ++i) {
    const __m512 left = _mm512_set1_ps(wide[i * stride]);
#pragma GCC unroll 4
    for (int64_t j = 0; j < 4; ++j) sums[i][j] = _mm512_fmadd_ps(left, half[j], sums[i][j]);
  }
}

// direct_product() of bf16 by multiply-adds of f32, with the same bits: a product of two bf16 is exact in f32, and the
// instruction adds a pair's second product first. Besides, it takes subnormal numbers for 0: so must the caller's mode.
template <bool is_bundled>
[[gnu::noinline]] void widened_product(const BFloat16* a, int64_t a_stride, const BFloat16* b, int64_t depth,
                                       float* c, int64_t c_stride, const float* start, int64_t start_stride) {
  constexpr int64_t part = 256;  // so that a's part stays in the first-level cache
  alignas(64) float wide[register_rows * part];
  __m512 sums[register_rows][register_vectors] = {};
  begin_sums(sums, start, start_stride);
  for (int64_t first = 0; first < depth; first += part) {
    const int64_t count = std::min(part, depth - first);
    for (int64_t i = 0; i < register_rows; ++i) {
      float* const to = wide + i * part;
      for (int64_t k = 0; k < count; k += 2) {
        const BFloat16* pair = left_pair<is_bundled>(a, a_stride, i, first + k);
        to[k] = static_cast<float>(pair[1]);
        to[k + 1] = static_cast<float>(pair[0]);
      }
    }
    for (int64_t k = 0; k < count; k += 2, b += 2 * register_columns<float>) {
      add_half_pairs<true>(sums, wide + k, part, b);
      add_half_pairs<false>(sums, wide + k + 1, part, b);
    }
  }
  store_sums(sums, c, c_stride);
}

// While it lives, this thread takes subnormal numbers for 0, whether it reads or makes them.
class NoSubnormals {
 public:
  NoSubnormals() : before_(_mm_getcsr()) { _mm_setcsr(before_ | _MM_FLUSH_ZERO_ON | 0x40); }
  ~NoSubnormals() { _mm_setcsr(before_); }
  NoSubnormals(const NoSubnormals&) = delete;
  NoSubnormals& operator=(const NoSubnormals&) = delete;

 private:
  unsigned before_;
};
#endif

template <class E, class W>
void register_product(const E* a, int64_t a_stride, const E* b, int64_t depth, W* c, int64_t c_stride,
                      const W* start, int64_t start_stride) {
#ifdef __AVX512BF16__
  if constexpr (std::is_same_v<E, BFloat16>) {
    if (has_slow_pairs()) {
      const NoSubnormals mode;
      const auto product = a_stride == bundled ? widened_product<true> : widened_product<false>;
      return product(a, a_stride, b, depth, c, c_stride, start, start_stride);
    }
  }
#endif
  const auto product = a_stride == bundled ? direct_product<true, E, W> : direct_product<false, E, W>;
  product(a, a_stride, b, depth, c, c_stride, start, start_stride);
}

}  // namespace nabla
