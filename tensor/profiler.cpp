#include "tensor/profiler.h"

#include <algorithm>
#include <map>
#include <mutex>
#include <utility>

#include "tensor/error.h"

namespace nabla {

constinit thread_local Phase detail::phase = Phase::forward;
constinit std::atomic<bool> detail::profiling = false;

namespace {

// Not in the Profiler, so that a kernel that ends in another thread after the profiler finds no ruins.
struct Totals {
  std::mutex mutex;
  std::map<std::pair<std::string, Phase>, KernelCost> costs;
};

Totals& totals() {
  static Totals& instance = *new Totals;
  return instance;
}

std::string rate(double amount, double seconds, double unit) {
  return amount == 0 || seconds == 0 ? "-" : fmt::format("{:.1f}", amount / seconds / unit);
}

}  // namespace

Profiler::Profiler() {
  check(!detail::profiling.exchange(true), "profiler: another one is running");
  const std::lock_guard lock(totals().mutex);
  totals().costs.clear();
}

Profiler::~Profiler() { detail::profiling = false; }

void Profiler::add(const char* kernel, Phase phase, double seconds, double flops, double bytes) {
  if (!running()) return;
  const std::lock_guard lock(totals().mutex);
  KernelCost& cost = totals().costs[{kernel, phase}];
  cost.name = kernel;
  cost.phase = phase;
  ++cost.calls;
  cost.seconds += seconds;
  cost.flops += flops;
  cost.bytes += bytes;
}

std::vector<KernelCost> Profiler::costs() const {
  std::vector<KernelCost> result;
  const std::lock_guard lock(totals().mutex);
  for (const auto& [key, cost] : totals().costs) result.push_back(cost);
  std::stable_sort(result.begin(), result.end(),
                   [](const KernelCost& a, const KernelCost& b) { return a.seconds > b.seconds; });
  return result;
}

std::string Profiler::table() const {
  const std::vector<KernelCost> rows = costs();
  double total = 0;
  for (const KernelCost& row : rows) total += row.seconds;
  std::string text = fmt::format("{:<28}{:<9}{:>7}{:>11}{:>8}{:>10}{:>9}{:>10}{:>8}\n", "kernel", "phase",
                                 "calls", "ms", "share", "GFLOP", "GFLOP/s", "MB", "GB/s");
  for (const KernelCost& row : rows) {
    text +=
        fmt::format("{:<28}{:<9}{:>7}{:>11.3f}{:>7.1f}%{:>10}{:>9}{:>10.1f}{:>8}\n", row.name,
                    row.phase == Phase::backward ? "backward" : "forward", row.calls, row.seconds * 1e3,
                    total > 0 ? row.seconds / total * 100 : 0.0,
                    row.flops > 0 ? fmt::format("{:.3f}", row.flops * 1e-9) : "-",
                    rate(row.flops, row.seconds, 1e9), row.bytes * 1e-6, rate(row.bytes, row.seconds, 1e9));
  }
  return text + fmt::format("{:<44}{:>11.3f}\n", "all kernels", total * 1e3);
}

}  // namespace nabla
