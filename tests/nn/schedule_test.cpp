#include "nn/optim/schedule.h"

#include <cmath>

#include "tests/module_case.h"

namespace nabla {

TEST_CASE("schedule: numpy's linspace and cosine at both ends, at the seam and after the last step") {
  int64_t compared = 0;
  for (int64_t total : {10000, 5000, 301, 101, 100, 40}) {
    CAPTURE(total);
    const WarmCosineSchedule schedule{2e-3, 2e-4, 100, total};
    const auto steps = nn_reference().get(fmt::format("schedule/{}/steps", total)).to_vector<int64_t>();
    const auto rates = nn_reference(fmt::format("schedule/{}/rates", total)).to_vector<double>();
    REQUIRE(steps.size() == rates.size());
    for (size_t i = 0; i < steps.size(); ++i, ++compared) {
      CAPTURE(steps[i]);
      CHECK(std::abs(schedule(steps[i]) - rates[i]) < 1e-17);
    }
  }
  CHECK(compared > 60);
}

TEST_CASE("schedule: Dinomaly2's warm-up ends one step later, and then it is constant or half a cosine") {
  for (const double ratio : {1.0, 0.1}) {
    const WarmCosineSchedule schedule{2e-3, ratio * 2e-3, 100, 40000, true};
    const std::string name = fmt::format("schedule_dinomaly2/{:g}/", ratio);
    const auto steps = nn_reference().get(name + "steps").to_vector<int64_t>();
    const auto rates = nn_reference(name + "rates").to_vector<double>();
    REQUIRE(steps.size() == 10);
    for (size_t i = 0; i < steps.size(); ++i) {
      CAPTURE(steps[i]);
      CHECK(std::abs(schedule(steps[i]) - rates[i]) < 1e-17);
    }
    CHECK(schedule(99) == doctest::Approx(0.99 * 2e-3).epsilon(1e-14));
    CHECK(schedule(100) == 2e-3);
  }
}

TEST_CASE(
    "schedule: the first step has rate 0, step 99 the peak, and up to 100 steps only the warm-up is seen") {
  const WarmCosineSchedule whole;
  CHECK(whole(0) == 0);
  CHECK(whole(99) == 2e-3);
  CHECK(whole(100) == 2e-3);  // the cosine begins at its top
  CHECK(whole(101) < 2e-3);
  CHECK(whole(10000) == 2e-4);
  const WarmCosineSchedule brief{2e-3, 2e-4, 100, 30};
  CHECK(brief(29) == whole(29));
  CHECK(brief(30) == 2e-4);
}

}  // namespace nabla
