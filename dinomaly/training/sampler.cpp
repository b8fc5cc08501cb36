#include "dinomaly/training/sampler.h"

#include <algorithm>
#include <numeric>
#include <utility>

#include "dinomaly/base/framework.h"
#include "dinomaly/base/numbers.h"
#include "tensor/error.h"

namespace dinomaly {

ShuffledSampler::ShuffledSampler(int64_t count, int64_t batch, uint64_t seed)
    : order_(static_cast<size_t>(count)), batch_(static_cast<size_t>(batch)), generator_(seed) {
  check_input(batch > 0 && batch <= count, "--batch: {} per batch, but there {} only {}",
              counted(batch, "image"), count == 1 ? "is" : "are", counted(count, "training image"));
  std::iota(order_.begin(), order_.end(), 0);
  shuffle();
}

void ShuffledSampler::shuffle() {
  for (size_t i = order_.size(); i > 1; --i) std::swap(order_[i - 1], order_[generator_.below(i)]);
}

std::vector<int64_t> ShuffledSampler::next() {
  if (position_ + batch_ > order_.size()) {
    shuffle();
    position_ = 0;
  }
  const auto begin = order_.begin() + static_cast<std::ptrdiff_t>(position_);
  position_ += batch_;
  return {begin, begin + static_cast<std::ptrdiff_t>(batch_)};
}

std::vector<int64_t> ShuffledSampler::remaining() const {
  return {order_.begin() + static_cast<std::ptrdiff_t>(position_), order_.end()};
}

void ShuffledSampler::load_state(const State& state, const std::string& source) {
  std::vector<int64_t> sorted = state.order, all(order_.size());
  std::sort(sorted.begin(), sorted.end());
  std::iota(all.begin(), all.end(), 0);
  check_input(sorted == all && state.position >= 0 && state.position <= static_cast<int64_t>(all.size()),
              "{}: the order of the data is not one of {}", source, counted(all.size(), "image"));
  order_ = state.order;
  position_ = static_cast<size_t>(state.position);
  generator_ = Generator(generator_.seed(), state.offset);
}

}  // namespace dinomaly
