// Compiled once for each level of the CPU's kernels (CMakeLists.txt), with PEAK_LEVEL as its name. It includes nothing that
// the program shares: whoever gets another level's copy of an inline function may not be able to run it.
#include "bench/peak_loops.h"

#ifdef __AVX2__
#include <cpuid.h>
#endif
#ifdef __AVX512BF16__
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

#ifdef __SSE2__
// Of int8, by the instruction that the kernels take (backends/cpu/integer_product.h). As such, as the compiler is not told of
// every one that is here.
#if defined(__AVX512BW__)
constexpr int words = 16;
#elif defined(__AVX2__)
constexpr int words = 8;
#else
constexpr int words = 4;
#endif
using Words [[gnu::vector_size(4 * words)]] = int32_t;

#ifdef __AVX2__
struct BytesInWords {
  static constexpr int64_t elements = 4;
  static Words add_products(Words sum, Words a, Words b) {
#ifdef __AVX512BW__
    asm volatile("vpdpbusd %2, %1, %0" : "+v"(sum) : "v"(a), "v"(b));
#else
    asm volatile("%{vex%} vpdpbusd %2, %1, %0" : "+x"(sum) : "x"(a), "x"(b));
#endif
    return sum;
  }
};

bool has_bytes_in_words() {
  unsigned a = 0, b = 0, c = 0, d = 0;
#ifdef __AVX512BW__
  return __get_cpuid_count(7, 0, &a, &b, &c, &d) != 0 && (c >> 11 & 1) != 0;  // AVX512-VNNI
#else
  return __get_cpuid_count(7, 1, &a, &b, &c, &d) != 0 && (a >> 4 & 1) != 0;  // AVX-VNNI
#endif
}
#endif

struct PairsInWords {
  static constexpr int64_t elements = 2;
  static Words add_products(Words sum, Words a, Words b) {
#if defined(__AVX512BW__)
    Words products;
    asm volatile("vpmaddwd %2, %1, %0" : "=v"(products) : "v"(a), "v"(b));
    return sum + products;
#elif defined(__AVX2__)
    Words products;
    asm volatile("vpmaddwd %2, %1, %0" : "=x"(products) : "x"(a), "x"(b));
    return sum + products;
#else
    asm volatile("pmaddwd %1, %0" : "+x"(a) : "x"(b));
    return sum + a;
#endif
  }
};

template <class Products>
int64_t multiply_add_integers(int64_t rounds) {
  Words sum[sums];
  const Words a = Words{} + 0x01020304, b = Words{} + 0x04010203;
  for (int i = 0; i < sums; ++i) sum[i] = Words{} + i;
  for (int64_t round = 0; round < rounds; ++round) {
#pragma GCC unroll 12
    for (int i = 0; i < sums; ++i) sum[i] = Products::add_products(sum[i], a, b);
  }
  int64_t total = 0;
  for (int i = 0; i < sums; ++i) total += sum[i][i % words];
  return total;
}
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
#endif

PeakLoops::OfBytes loop_of_bytes() {
#ifdef __AVX512BF16__
  if (has_tiles()) return {multiply_tiles, tiles * 16 * 16 * 64};
#endif
#ifdef __AVX2__
  if (has_bytes_in_words())
    return {multiply_add_integers<BytesInWords>, sums * words * BytesInWords::elements};
#endif
#ifdef __SSE2__
  return {multiply_add_integers<PairsInWords>, sums * words * PairsInWords::elements};
#else
  return {nullptr, 0};
#endif
}

PeakLoops loops{PEAK_LEVEL, multiply_add, sums* lanes, loop_of_bytes};

}  // namespace

}  // namespace dinomaly
