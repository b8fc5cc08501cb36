#include "bench/peak.h"

#include <benchmark/benchmark.h>
#ifdef __AVX512VNNI__
#include <immintrin.h>
#endif

#include <algorithm>
#include <barrier>
#include <chrono>
#include <cstring>
#include <map>
#include <thread>
#include <utility>
#include <vector>

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
#endif

template <class Body>
double best_seconds(int repeats, int threads, const Body& body) {
  // They begin together. A run lasts from the first start to the last end.
  using Clock = std::chrono::steady_clock;
  std::vector<Clock::time_point> starts(static_cast<size_t>(threads)), ends(starts);
  double best = 1e30;
  std::barrier together(threads), over(threads, [&]() noexcept {
    const auto took =
        *std::max_element(ends.begin(), ends.end()) - *std::min_element(starts.begin(), starts.end());
    best = std::min(best, std::chrono::duration<double>(took).count());
  });
  std::vector<std::jthread> team;
  for (int thread = 0; thread < threads; ++thread) {
    team.emplace_back([&, thread] {
      const auto own = static_cast<size_t>(thread);
      for (int i = 0; i < repeats; ++i) {
        together.arrive_and_wait();
        starts[own] = Clock::now();
        body(thread, threads);
        ends[own] = Clock::now();
        over.arrive_and_wait();
      }
    });
  }
  team.clear();  // joins them
  return best;
}

}  // namespace

double peak_gflops(int threads) {
  static std::map<int, double> known;
  double& result = known[threads];
  if (result > 0) return result;
  constexpr int64_t rounds = 4'000'000;
  std::vector<float> results(static_cast<size_t>(threads) * 64);
  const double seconds = best_seconds(
      5, threads, [&](int thread, int) { results[static_cast<size_t>(thread) * 64] = multiply_add(rounds); });
  return result = 2.0 * sums * lanes * rounds * threads / seconds / 1e9;
}

double peak_int8_gops([[maybe_unused]] int threads) {
#ifdef __AVX512VNNI__
  static std::map<int, double> known;
  double& result = known[threads];
  if (result > 0) return result;
  constexpr int64_t rounds = 200'000;
  std::vector<int64_t> results(static_cast<size_t>(threads) * 64);
  const double seconds = best_seconds(100, threads, [&](int thread, int) {
    results[static_cast<size_t>(thread) * 64] = multiply_add_bytes(rounds);
  });
  return result = 2.0 * sums * 64 * rounds * threads / seconds / 1e9;
#else
  return 0;
#endif
}

double peak_copy_gb(size_t bytes, int threads) {
  static std::map<std::pair<size_t, int>, double> known;
  const size_t half = std::max<size_t>(bytes / 2, 4096);
  double& result = known[{half, threads}];
  if (result > 0) return result;
  std::vector<char> from(half, 1), to(half);
  const int64_t loops = std::max<int64_t>(1, static_cast<int64_t>((size_t{32} << 20) / half));
  const double seconds = best_seconds(7, threads, [&](int thread, int count) {
    const size_t piece = (half / static_cast<size_t>(count)) & ~size_t{63};
    const size_t begin = piece * static_cast<size_t>(thread);
    for (int64_t i = 0; i < loops; ++i) {
      std::memcpy(to.data() + begin, from.data() + begin, piece);
      benchmark::ClobberMemory();  // the next copy may not be left out
    }
  });
  return result = 2.0 * static_cast<double>(half) * static_cast<double>(loops) / seconds / 1e9;
}

}  // namespace dinomaly
