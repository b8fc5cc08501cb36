// Where the time goes: what each kernel of the backend interface cost.
#pragma once

#include <atomic>
#include <cstdint>
#include <string>
#include <vector>

namespace nabla {

// Whether the kernels of this thread work for a backward walk. The tape says so.
enum class Phase { forward, backward };

namespace detail {
extern constinit thread_local Phase phase;
extern constinit std::atomic<bool> profiling;
}  // namespace detail

class PhaseGuard {
 public:
  explicit PhaseGuard(Phase phase) : before_(detail::phase) { detail::phase = phase; }
  ~PhaseGuard() { detail::phase = before_; }
  PhaseGuard(const PhaseGuard&) = delete;
  PhaseGuard& operator=(const PhaseGuard&) = delete;

 private:
  Phase before_;
};

// Calls of one kernel in one phase.
struct KernelCost {
  std::string name;  // as in tensor/kernels.h
  Phase phase = Phase::forward;
  int64_t calls = 0;
  double seconds = 0;  // without kernels called by this kernel
  // Multiplications and additions of the formula: matmul 2 B M N K; attention 4 B H N M d, backward 10;
  // linear attention 4 B H N d^2, backward 10; convolution 2 per weight and output; other kernels count none.
  double flops = 0;
  // Elements of all inputs and outputs, each once (a repeated axis counts 1): what must be moved at least.
  double bytes = 0;
};

// Measures every kernel of the program, in all threads, while it lives:
//   Profiler profiler;  train_step();  fmt::print("{}", profiler.table());
// One at a time: a second one throws. Without one, a kernel costs nothing more. Where a device works
// asynchronously, each kernel is waited for.
class Profiler {
 public:
  Profiler();
  ~Profiler();
  Profiler(const Profiler&) = delete;
  Profiler& operator=(const Profiler&) = delete;

  // The most expensive first.
  std::vector<KernelCost> costs() const;
  // The same as text: kernel, phase, calls, ms, share of the time in kernels, GFLOP, GFLOP/s, MB, GB/s.
  std::string table() const;

  static bool running() { return detail::profiling.load(std::memory_order_relaxed); }
  // Adds one call; does nothing when no profiler lives.
  static void add(const char* kernel, Phase phase, double seconds, double flops, double bytes);
};

}  // namespace nabla
