// The curves behind the metrics.
#include "dinomaly/evaluation/curves.h"

#include <doctest/doctest.h>

#include "dinomaly/base/framework.h"
#include "dinomaly/evaluation/aupro.h"
#include "dinomaly/evaluation/ranking.h"
#include "tests/support.h"

using namespace dinomaly;

namespace {

double area(const Curve& curve) {
  double sum = 0;
  for (size_t i = 1; i < curve.size(); ++i)
    sum += (curve[i].x - curve[i - 1].x) * (curve[i].y + curve[i - 1].y) / 2;
  return sum;
}

}  // namespace

TEST_CASE("curves: their areas are the metrics") {
  Generator generator(8);
  const int64_t count = 12, side = 32;
  std::vector<float> maps = Tensor::uniform({count, side, side}, 0, 1, generator).to_vector<float>();
  std::vector<uint8_t> masks(maps.size(), 0);
  for (int64_t n = 0; n < count; n += 2) {
    for (int64_t y = 5; y < 12 + n; ++y)
      for (int64_t x = 3; x < 9; ++x) masks[static_cast<size_t>((n * side + y) * side + x)] = 1;
  }
  for (size_t i = 0; i < maps.size(); ++i) maps[i] = maps[i] / 2 + 0.3f * masks[i];
  CHECK(area(roc_curve(maps, masks)) == doctest::Approx(roc_auc(maps, masks)));
  PixelCounts counts(0, 0.8), half(0, 0.8);
  for (int64_t n = 0; n < count; ++n) {
    const size_t at = static_cast<size_t>(n * side * side), pixels = static_cast<size_t>(side * side);
    (n % 2 ? half : counts).add({maps.data() + at, pixels}, {masks.data() + at, pixels}, side, side);
  }
  counts.add(half);
  CHECK(area(counts.roc()) == doctest::Approx(roc_auc(maps, masks)).epsilon(1e-3));
  CHECK(area(counts.pro()) / 0.3 ==
        doctest::Approx(aupro_official(maps, masks, count, side, side)).epsilon(1e-3));
  CHECK(counts.pro().back().x == doctest::Approx(0.3));
  CHECK(area(counts.pr()) == doctest::Approx(average_precision(maps, masks)).epsilon(0.02));
  CHECK(area(thinned(counts.roc(), 200)) == doctest::Approx(area(counts.roc())).epsilon(1e-3));
  CHECK(thinned(counts.roc(), 200).size() <= 200);
  const std::vector<uint8_t> one_class(maps.size(), 0);
  CHECK(roc_curve(maps, one_class).empty());
  CHECK(pr_curve(maps, one_class).empty());
  CHECK(PixelCounts(0, 1).pro().empty());
  const Curve pr = pr_curve(std::vector<float>{3, 2, 2, 1}, std::vector<uint8_t>{1, 0, 1, 0});
  REQUIRE(pr.size() == 3);
  CHECK(pr[1].x == 1);
  CHECK(pr[1].y == doctest::Approx(2.0 / 3));
}
