// The order in which training sees the images.
#include "dinomaly/training/sampler.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <set>

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
  CHECK(one_line_with(input_error([] { ShuffledSampler(3, 4, 1); }), "--batch: 4 images per batch"));
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

TEST_CASE("sampler: every epoch is a new order of all indices, the last partial batch is dropped") {
  ShuffledSampler sampler(10, 4, 1);
  std::vector<std::vector<int64_t>> epochs;
  for (int epoch = 0; epoch < 20; ++epoch) {
    std::vector<int64_t> seen = sampler.next();
    const std::vector<int64_t> second = sampler.next();
    seen.insert(seen.end(), second.begin(), second.end());
    CHECK(std::set<int64_t>(seen.begin(), seen.end()).size() == 8);  // none twice; two are dropped
    for (int64_t index : seen) CHECK((index >= 0 && index < 10));
    epochs.push_back(seen);
  }
  CHECK(std::set<std::vector<int64_t>>(epochs.begin(), epochs.end()).size() == 20);
  std::vector<int> count(10);
  for (const auto& epoch : epochs) {
    for (int64_t index : epoch) ++count[static_cast<size_t>(index)];
  }
  for (int times : count) CHECK(times >= 8);  // 16 expected of 20
}

TEST_CASE("sampler: the seed decides; a batch larger than the data is refused") {
  ShuffledSampler a(50, 5, 3), b(50, 5, 3), c(50, 5, 4);
  const auto first = a.next();
  CHECK(first == b.next());
  CHECK(first != c.next());
  CHECK(one_line_with(input_error([] { ShuffledSampler(4, 5, 1); }),
                      "5 images per batch, but there are only 4"));
}

}  // namespace dinomaly
