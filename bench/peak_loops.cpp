// Compiled once for each level of the CPU's kernels (CMakeLists.txt), with PEAK_LEVEL as its name. It includes nothing that
// the program shares: whoever gets another level's copy of an inline function may not be able to run it.
#include "bench/peak_loops.h"

#ifdef __AVX512VNNI__
#include <immintrin.h>
#endif

namespace dinomaly {

namespace {

// As wide as the widest register the compiler targets. Twelve sums hide the latency of the multiply-add on
// every common core, and with two factors still fit sixteen registers.
using Vector [[gnu::vector_size(__BIGGEST_ALIGNMENT__)]] = float;
constexpr int sums = 12, lanes = __BIGGEST_ALIGNMENT__ / sizeof(float);

float multiply_add(int64_t rounds) {
  Vector sum[sums], factor, summand;
  for (int lane = 0; lane < lanes; ++lane) {
    factor[lane] = 0.5f, summand[lane] = static_cast<float>(lane + 1);
    for (int i = 0; i < sums; ++i) sum[i][lane] = static_cast<float>(i);  // all different: none can be shared
  }
  for (int64_t round = 0; round < rounds; ++round) {
#pragma GCC unroll 12
    for (int i = 0; i < sums; ++i) sum[i] = sum[i] * factor + summand;
  }
  float total = 0;
  for (int i = 0; i < sums; ++i) total += sum[i][i % lanes];
  return total;
}

#ifdef __AVX512VNNI__
constexpr int64_t bytes = 64;
int64_t multiply_add_bytes(int64_t rounds) {
  using Words [[gnu::vector_size(64)]] = int32_t;
  Words sum[sums];
  const Words a = Words{} + 0x01020304, b = Words{} + 0x04010203;
  for (int i = 0; i < sums; ++i) sum[i] = Words{} + i;
  for (int64_t round = 0; round < rounds; ++round) {
#pragma GCC unroll 12
    for (int i = 0; i < sums; ++i) {
      sum[i] = reinterpret_cast<Words>(_mm512_dpbusd_epi32(
          reinterpret_cast<__m512i>(sum[i]), reinterpret_cast<__m512i>(a), reinterpret_cast<__m512i>(b)));
    }
  }
  int64_t total = 0;
  for (int i = 0; i < sums; ++i) total += sum[i][i];
  return total;
}
#else
constexpr int64_t bytes = 0;
constexpr PeakLoops::OfBytes multiply_add_bytes = nullptr;
#endif

PeakLoops loops{PEAK_LEVEL, multiply_add, sums* lanes, multiply_add_bytes, sums* bytes};

}  // namespace

}  // namespace dinomaly
