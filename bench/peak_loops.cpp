// Compiled once for each level of the CPU's kernels (CMakeLists.txt), with PEAK_LEVEL as its name. It includes nothing that
// the program shares: whoever gets another level's copy of an inline function may not be able to run it.
#include "bench/peak_loops.h"

#ifdef __AVX512VNNI__
#include <immintrin.h>
#endif
#ifdef __AVX512BF16__
#include <cpuid.h>
#include <sys/syscall.h>
#include <unistd.h>
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

#ifdef __AVX512BF16__
// Tiles, 16 x 16 sums of 64 products each: AMX, for which Linux wants to be asked.
bool has_tiles() {
  unsigned a = 0, b = 0, c = 0, d = 0;
  constexpr unsigned all = 1U << 22 | 1U << 24 | 1U << 25;
  return __get_cpuid_count(7, 0, &a, &b, &c, &d) != 0 && (d & all) == all &&
         syscall(SYS_arch_prctl, 0x1023, 18) == 0;
}
constexpr int64_t tiles = 4;
int64_t multiply_tiles(int64_t rounds) {
  unsigned char shapes[64] = {1};
  for (int tile = 0; tile < 8; ++tile) shapes[16 + 2 * tile] = 64, shapes[48 + tile] = 16;
  asm volatile("ldtilecfg %0" ::"m"(shapes));
  for (int64_t round = 0; round < rounds; ++round)
    asm volatile(
        "tdpbssd %%tmm6, %%tmm4, %%tmm0\n\ttdpbssd %%tmm7, %%tmm4, %%tmm1\n\t"
        "tdpbssd %%tmm6, %%tmm5, %%tmm2\n\ttdpbssd %%tmm7, %%tmm5, %%tmm3" ::);
  asm volatile("tilerelease");
  return 0;
}
PeakLoops loops = has_tiles()
                      ? PeakLoops{PEAK_LEVEL, multiply_add, sums* lanes, multiply_tiles, tiles * 16 * 16 * 64}
                      : PeakLoops{PEAK_LEVEL, multiply_add, sums* lanes, multiply_add_bytes, sums* bytes};
#else
PeakLoops loops{PEAK_LEVEL, multiply_add, sums* lanes, multiply_add_bytes, sums* bytes};
#endif

}  // namespace

}  // namespace dinomaly
