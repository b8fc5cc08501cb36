#include "tensor/random.h"

#include <cmath>
#include <numbers>

#include "tensor/error.h"

namespace nabla {

double Generator::normal() {
  const double radius = std::sqrt(-2.0 * std::log1p(-uniform()));
  return radius * std::cos(2.0 * std::numbers::pi * uniform());
}

uint64_t Generator::reserve(uint64_t count) {
  const uint64_t first = offset_;
  const auto own = static_cast<uint64_t>(part_own_), before = static_cast<uint64_t>(part_first_);
  check(count % own == 0 && count / own * before % 4 == 0,
        "random numbers: {} for {} images of a batch do not begin at a whole block", count, part_own_);
  offset_ += (count / own * static_cast<uint64_t>(part_all_) + 3) / 4;
  return first + count / own * before / 4;
}

void Generator::take_part(int64_t first, int64_t own, int64_t all) {
  check(first >= 0 && own > 0 && first + own <= all,
        "random numbers: images {} to {} of {} are no part of a batch", first, first + own, all);
  part_first_ = first, part_own_ = own, part_all_ = all;
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
