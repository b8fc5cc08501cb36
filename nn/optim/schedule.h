// Learning rate over time.
#pragma once

#include <cstdint>

namespace nabla {

// Linear warm-up, then half a cosine: step s < warmup_steps of `peak * s / (warmup_steps - 1)` (the first
// step has 0, the last one the peak; with `peak_after` the divisor is warmup_steps, and the step after the last one
// is the first with the peak), then final + (peak - final) / 2 * (1 + cos(pi * (s - warmup) / (total -
// warmup))), and `final` from `total` on. With total <= warmup_steps only the warm-up is seen.
struct WarmCosineSchedule {
  double peak = 2e-3, final = 2e-4;
  int64_t warmup_steps = 100, total_steps = 10000;
  bool peak_after = false;

  double operator()(int64_t step) const;
};

}  // namespace nabla
