#include "tensor/random.h"

#include <cmath>
#include <numbers>

namespace nabla {

double Generator::normal() {
  const double radius = std::sqrt(-2.0 * std::log1p(-uniform()));
  return radius * std::cos(2.0 * std::numbers::pi * uniform());
}

uint64_t Generator::below(uint64_t bound) {
  const uint64_t limit = UINT64_MAX - UINT64_MAX % bound;
  while (true) {
    const Philox4 block = philox(seed_, offset_++);
    const uint64_t value = uint64_t{block.word[0]} << 32 | block.word[1];
    if (value < limit) return value % bound;
  }
}

}  // namespace nabla
