// The order in which training sees the images.
#include "dinomaly/training/sampler.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>

#include "dinomaly/base/framework.h"
#include "tests/support.h"

namespace dinomaly {

TEST_CASE("sampler: every epoch has every index once, in another order; a partial batch is dropped") {
  ShuffledSampler sampler(10, 3, 1);
  std::vector<std::vector<int64_t>> epochs(2);
  for (auto& epoch : epochs) {
    for (int i = 0; i < 3; ++i) {
      const std::vector<int64_t> batch = sampler.next();
      CHECK(batch.size() == 3);
      epoch.insert(epoch.end(), batch.begin(), batch.end());
    }
    std::vector<int64_t> sorted = epoch;
    std::sort(sorted.begin(), sorted.end());
    CHECK(std::adjacent_find(sorted.begin(), sorted.end()) == sorted.end());
    CHECK(sorted.front() >= 0);
    CHECK(sorted.back() < 10);
  }
  CHECK(epochs[0] != epochs[1]);
  ShuffledSampler again(10, 3, 1), other(10, 3, 2);
  const std::vector<int64_t> first(epochs[0].begin(), epochs[0].begin() + 3);
  CHECK(again.next() == first);
  CHECK(one_line_with(input_error([] { ShuffledSampler(3, 4, 1); }), "--batch: 4 images a batch"));
}

TEST_CASE("sampler: what remains of an epoch comes in that order") {
  ShuffledSampler sampler(7, 3, 1);
  std::vector<int64_t> order = sampler.remaining();
  CHECK(order.size() == 7);
  CHECK(sampler.next() == std::vector<int64_t>(order.begin(), order.begin() + 3));
  order.erase(order.begin(), order.begin() + 3);
  CHECK(sampler.remaining() == order);
}

TEST_CASE("sampler: any index may come first, its own place included") {
  std::vector<int> first(4);
  for (uint64_t seed = 0; seed < 4000; ++seed)
    ++first[static_cast<size_t>(ShuffledSampler(4, 1, seed).next()[0])];
  for (const int count : first) CHECK(std::abs(count - 1000) < 140);  // five standard deviations
}

}  // namespace dinomaly
