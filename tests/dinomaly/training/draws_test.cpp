// What training draws where images are views of objects.
#include "dinomaly/training/draws.h"

#include <doctest/doctest.h>

#include <cmath>
#include <map>
#include <set>

#include "dinomaly/base/framework.h"
#include "tests/support.h"

namespace dinomaly {

TEST_CASE("draws: images are drawn as they are, and so are views that are files of their own") {
  std::vector<Sample> samples(3);
  for (Sample& sample : samples) sample.object = "a", sample.grouping = Grouping::views;
  for (const Grouping grouping : {Grouping::none, Grouping::views}) {
    for (Sample& sample : samples) sample.grouping = grouping;
    const Draws draws(samples, 1);
    CHECK(draws.count() == 3);
    CHECK(draws.images({2, 0, 1}, 7) == std::vector<int64_t>{2, 0, 1});
  }
}

TEST_CASE("draws: one strip of a picture at random each time, from the seed and the number of the draw") {
  std::vector<Sample> samples;
  for (int view = 0; view < 5; ++view) {
    for (const char* object : {"a", "b"})
      samples.push_back({.category = "x", .object = object, .grouping = Grouping::strips});
  }
  samples.push_back({.category = "y", .object = "a", .grouping = Grouping::strips});  // another category's
  const Draws draws(samples, 1), again(samples, 1), other(samples, 2);
  REQUIRE(draws.count() == 3);
  std::map<int64_t, int> seen;
  int alike = 0;
  for (int64_t i = 0; i < 5000; ++i) {
    const std::vector<int64_t> images = draws.images({0, 1, 2}, 3 * i);
    CHECK(images[0] % 2 == 0);
    CHECK(images[1] % 2 == 1);
    CHECK(images[2] == 10);
    CHECK(again.images({1}, 3 * i + 1) ==
          std::vector<int64_t>{images[1]});  // a draw depends on its number alone
    alike += other.images({0}, 3 * i)[0] == images[0];
    ++seen[images[0]];
  }
  REQUIRE(seen.size() == 5);
  for (const auto& [view, count] : seen) CHECK(std::abs(count - 1000) < 142);  // five standard deviations
  CHECK(std::abs(alike - 1000) < 142);
}

TEST_CASE("draws: of pairs a batch is RGB images, then their infrared ones") {
  std::vector<Sample> samples;
  for (const char* object : {"a", "b", "c"}) {  // the infrared one first: names decide the order of files
    samples.push_back({.object = object, .grouping = Grouping::rgb_and_infrared, .infrared = true});
    samples.push_back({.object = object, .grouping = Grouping::rgb_and_infrared});
  }
  const Draws draws(samples, 1);
  CHECK(draws.count() == 3);
  CHECK(draws.in_batch(16) == 8);
  CHECK(draws.images({2, 0}, 0) == std::vector<int64_t>{5, 1, 4, 0});
  CHECK(one_line_with(input_error([&] { draws.in_batch(5); }), "--batch: 5 is odd"));
  CHECK(Draws({Sample{}}, 1).in_batch(5) == 5);
  samples.pop_back();
  CHECK_THROWS_AS(Draws(samples, 1), Error);
}

}  // namespace dinomaly
