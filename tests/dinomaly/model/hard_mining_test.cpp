// Hard mining: what the hook does to gradients, and that it leaves the loss alone.
#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>

#include "autograd/ops/ops.h"
#include "dinomaly/base/framework.h"
#include "dinomaly/model/loss.h"
#include "tests/module_case.h"

namespace dinomaly {
namespace {

// One group of ten points in two images; the layer represents everything upstream of the hook.
struct Example {
  Example() {
    Generator generator(4);
    encoded = Tensor::uniform({2, 5, 3}, -1, 1, generator, Dtype::f64);
    x = Variable(Tensor::uniform({2, 5, 4}, -1, 1, generator, Dtype::f64));
    weight = Variable(Tensor::uniform({3, 4}, -1, 1, generator, Dtype::f64), true);
  }

  // The gradients of `decoded`, after its hook, and of the layer's weight; the loss.
  struct Result {
    double loss = 0;
    std::vector<double> decoded, weight;
  };
  Result run(double share, double factor) const {
    const Variable decoded = linear(x, weight, {});
    decoded.retain_grad();
    weight.zero_grad();
    const Variable loss = hard_mining_cosine_loss({{encoded}, {decoded}, 1, 5}, share, factor);
    loss.backward();
    return {loss.value().item(), decoded.grad().to_vector<double>(), weight.grad().to_vector<double>()};
  }
  std::vector<double> distances() const {
    const Variable decoded = linear(x, Variable(weight.value()), {});
    return (1 - cosine_similarity(Variable(encoded), decoded)).value().to_vector<double>();
  }

  Tensor encoded;
  Variable x, weight;
};

// How many of the example's points have their gradient weakened; all others must keep theirs.
int weakened_points(double share) {
  const Example example;
  const auto plain = example.run(share, 1), mined = example.run(share, 0.1);
  int weakened = 0;
  for (size_t point = 0; point < 10; ++point) {
    const double ratio = mined.decoded[3 * point] / plain.decoded[3 * point];
    weakened += ratio < 0.5;
    for (size_t i = 3 * point; i < 3 * point + 3; ++i) {
      CHECK(mined.decoded[i] == doctest::Approx(plain.decoded[i] * (ratio < 0.5 ? 0.1 : 1)).epsilon(1e-12));
    }
  }
  return weakened;
}

}  // namespace

TEST_CASE("hard mining changes the gradients upstream and not the loss") {
  const Example example;
  const auto plain = example.run(0.5, 1), mined = example.run(0.5, 0.1), none = example.run(0.5, 0);
  CHECK(mined.loss == plain.loss);  // bit for bit
  CHECK(none.loss == plain.loss);
  double change = 0;
  for (size_t i = 0; i < plain.weight.size(); ++i) {
    change += std::abs(mined.weight[i] - plain.weight[i]);
    // The gradient is linear in the factor: 0.1 lies a tenth of the way from 0 to 1.
    CHECK(mined.weight[i] == doctest::Approx(0.9 * none.weight[i] + 0.1 * plain.weight[i]).epsilon(1e-10));
  }
  CHECK(change > 0.01);
}

TEST_CASE("hard mining weakens the points below the k-th largest distance, k cut to a whole number") {
  CHECK(weakened_points(0) == 0);
  CHECK(weakened_points(0.5) == 5);
  CHECK(weakened_points(0.34) == 4);  // k = int(6.6) = 6
  CHECK(weakened_points(0.26) == 3);  // k = int(7.4) = 7
  CHECK(weakened_points(1) == 9);     // at least the hardest point keeps its gradient
}

TEST_CASE("hard mining weakens the points that are reconstructed best") {
  const Example example;
  const auto plain = example.run(0.5, 1), mined = example.run(0.5, 0.1);
  const std::vector<double> distances = example.distances();
  double largest_easy = 0, smallest_hard = 2;
  for (size_t point = 0; point < 10; ++point) {
    const bool easy = mined.decoded[3 * point] != plain.decoded[3 * point];
    if (easy) largest_easy = std::max(largest_easy, distances[point]);
    if (!easy) smallest_hard = std::min(smallest_hard, distances[point]);
  }
  CHECK(largest_easy < smallest_hard);
}

TEST_CASE("hard mining: points at the threshold itself are hard") {
  const Tensor encoded = Tensor::from<double>({1, 0, 1, 0, 1, 0, 1, 0}, {1, 4, 2});
  const Variable decoded(Tensor::from<double>({1, 1, 1, 1, 1, 1, 2, 1}, {1, 4, 2}), true);
  const auto gradients = [&](double factor) {
    const Variable points = decoded * 1.0;
    points.retain_grad();
    hard_mining_cosine_loss({{encoded}, {points}, 2, 2}, 0.5, factor).backward();
    return points.grad().to_vector<double>();
  };
  const auto plain = gradients(1), none = gradients(0);
  for (size_t i = 0; i < 6; ++i) CHECK(none[i] == plain[i]);  // three equal distances, two of them asked for
  CHECK(none[6] == 0);
  CHECK(none[7] == 0);
}

TEST_CASE("the share of easy points grows linearly from 0 and stays") {
  Config config;
  CHECK(mining_share(config, 0) == 0);
  CHECK(mining_share(config, 1) == doctest::Approx(0.9 / 1000).epsilon(1e-14));
  CHECK(mining_share(config, 500) == doctest::Approx(0.45).epsilon(1e-14));
  CHECK(mining_share(config, 999) < 0.9);
  CHECK(mining_share(config, 1000) == 0.9);
  CHECK(mining_share(config, 9999) == 0.9);
}

TEST_CASE("the loss is 1 - cos over whole images, the mean of images and groups") {
  const Tensor e = Tensor::from<double>({1, 0, 0, 1, 1, 0, 0, 1}, {2, 2, 2});
  const Variable same(e), opposite(-e), first(Tensor::from<double>({1, 0, 0, 0, 1, 0, 0, 1}, {2, 2, 2}));
  CHECK(hard_mining_cosine_loss({{e}, {same}, 1, 2}, 0.5, 0.1).value().item() == doctest::Approx(0));
  CHECK(hard_mining_cosine_loss({{e, e}, {same, opposite}, 1, 2}, 0.5, 0.1).value().item() ==
        doctest::Approx(1));
  CHECK(hard_mining_cosine_loss({{e}, {first}, 1, 2}, 0.5, 0.1).value().item() ==
        doctest::Approx((1 - std::sqrt(0.5)) / 2));
}

}  // namespace dinomaly
