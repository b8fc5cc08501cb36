#include "dinomaly/weights/rope_periods.h"

#include <cmath>

namespace dinomaly {

Tensor rope_periods(int64_t head_width) {
  check_input(head_width > 0 && head_width % 4 == 0,
              "rotary positions need heads of a width that 4 divides, not {}", head_width);
  const int64_t count = head_width / 4;
  Tensor periods = Tensor::empty({count});
  for (int64_t j = 0; j < count; ++j) {
    periods.data<float>()[j] =
        static_cast<float>(std::pow(100.0, static_cast<double>(j) / static_cast<double>(count)));
  }
  return periods;
}

}  // namespace dinomaly
