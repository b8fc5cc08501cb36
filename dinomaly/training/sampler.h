// The order in which training sees the images.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "dinomaly/base/framework.h"
#include "tensor/random.h"

namespace dinomaly {

// Shuffled epochs: every index once, in an order drawn anew (Fisher-Yates); the last partial
// batch is dropped.
class ShuffledSampler {
 public:
  // Throws InputError where a batch is larger than the data.
  ShuffledSampler(int64_t count, int64_t batch, uint64_t seed);
  // The next `batch` indices in [0, count).
  std::vector<int64_t> next();
  // What is left of the current epoch, in its order: for FeatureStore::expect().
  std::vector<int64_t> remaining() const;

  // Where it stands in the data: the current epoch's order, how much of it is used, and
  // the generator's offset.
  struct State {
    std::vector<int64_t> order;
    int64_t position = 0;
    uint64_t offset = 0;
  };
  State state() const { return {order_, static_cast<int64_t>(position_), generator_.offset()}; }
  // Continues from a state of a sampler with the same count and seed. Throws InputError for what none can be.
  void load_state(const State& state, const std::string& source);

 private:
  void shuffle();

  std::vector<int64_t> order_;
  size_t batch_, position_ = 0;
  Generator generator_;
};

}  // namespace dinomaly
