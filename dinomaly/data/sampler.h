// The order in which training sees the pictures.
#pragma once

#include <cstdint>
#include <vector>

#include "tensor/random.h"

namespace dinomaly {

// Shuffled epochs: every index once, in an order drawn anew (Fisher-Yates); the last partial batch is
// dropped.
class ShuffledSampler {
 public:
  // Throws InputError where a batch is larger than the data.
  ShuffledSampler(int64_t count, int64_t batch, uint64_t seed);
  // The next `batch` indices in [0, count).
  std::vector<int64_t> next();

 private:
  void shuffle();

  std::vector<int64_t> order_;
  size_t batch_, position_ = 0;
  Generator generator_;
};

}  // namespace dinomaly
