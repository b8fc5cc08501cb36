#include "bench/peak.h"

#include <benchmark/benchmark.h>

#include <algorithm>
#include <barrier>
#include <chrono>
#include <cstring>
#include <map>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "bench/peak_loops.h"
#include "tensor/backend.h"
#include "tensor/error.h"

namespace dinomaly {

namespace {

// Those of the level whose kernels run.
const PeakLoops& loops_in_use() {
  const std::string level = nabla::cpu_level();
  for (const PeakLoops* loops = PeakLoops::first(); loops != nullptr; loops = loops->next)
    if (level == loops->level) return *loops;
  nabla::fail("bench_ops: no loop to measure the level {} with", level);
}

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

const PeakLoops*& list() {
  static const PeakLoops* begin = nullptr;
  return begin;
}

}  // namespace

PeakLoops::PeakLoops(const char* level, OfFloats multiply_add, int64_t products, OfBytes (*of_bytes)())
    : level(level),
      multiply_add(multiply_add),
      products(products),
      of_bytes(of_bytes),
      next(std::exchange(list(), this)) {}

const PeakLoops* PeakLoops::first() { return list(); }

double peak_gflops(int threads) {
  static std::map<int, double> known;
  double& result = known[threads];
  if (result > 0) return result;
  constexpr int64_t rounds = 4'000'000;
  const PeakLoops& loops = loops_in_use();
  std::vector<float> results(static_cast<size_t>(threads) * 64);
  const double seconds = best_seconds(5, threads, [&](int thread, int) {
    results[static_cast<size_t>(thread) * 64] = loops.multiply_add(rounds);
  });
  return result = 2.0 * static_cast<double>(loops.products * rounds * threads) / seconds / 1e9;
}

double peak_int8_gops(int threads) {
  const PeakLoops::OfBytes loop = loops_in_use().of_bytes();
  if (loop.run == nullptr) return 0;
  static std::map<int, double> known;
  double& result = known[threads];
  if (result > 0) return result;
  const int64_t rounds = 150'000'000 / loop.products;
  std::vector<int64_t> results(static_cast<size_t>(threads) * 64);
  const double seconds = best_seconds(
      100, threads, [&](int thread, int) { results[static_cast<size_t>(thread) * 64] = loop.run(rounds); });
  return result = 2.0 * static_cast<double>(loop.products * rounds * threads) / seconds / 1e9;
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
