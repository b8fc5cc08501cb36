#include "nn/optim/schedule.h"

#include <cmath>
#include <numbers>

namespace nabla {

double WarmCosineSchedule::operator()(int64_t step) const {
  if (step >= total_steps) return final;
  if (step < warmup_steps) {
    const int64_t steps_to_peak = peak_after ? warmup_steps : warmup_steps - 1;
    return steps_to_peak > 0 ? peak * static_cast<double>(step) / static_cast<double>(steps_to_peak) : 0.0;
  }
  const double progress =
      static_cast<double>(step - warmup_steps) / static_cast<double>(total_steps - warmup_steps);
  return final + 0.5 * (peak - final) * (1 + std::cos(std::numbers::pi * progress));
}

}  // namespace nabla
