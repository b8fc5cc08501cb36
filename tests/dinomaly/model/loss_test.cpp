// SPEC "Loss": the value, the threshold, and the hook that weakens the gradient of easy points.
#include "dinomaly/model/loss.h"

#include <doctest/doctest.h>

#include <cmath>
#include <numeric>

#include "autograd/ops/ops.h"
#include "dinomaly/base/framework.h"
#include "tensor/ops.h"
#include "tests/support.h"

namespace dinomaly {

namespace {

// 1 - cos of n numbers, by hand.
double distance(const double* a, const double* b, int64_t n) {
  double dot = 0, aa = 0, bb = 0;
  for (int64_t i = 0; i < n; ++i) dot += a[i] * b[i], aa += a[i] * a[i], bb += b[i] * b[i];
  return 1 - dot / (std::max(std::sqrt(aa), 1e-8) * std::max(std::sqrt(bb), 1e-8));
}

struct Case {
  int64_t batch, points, width;
  Tensor encoded;
  Variable leaf;     // what the decoder's features are made of
  Variable decoded;  // no leaf
  Case(int64_t batch, int64_t points, int64_t width, uint64_t seed = 1)
      : batch(batch), points(points), width(width) {
    Generator generator(seed);
    encoded = Tensor::normal({batch, points, width}, 0, 1, generator, Dtype::f64);
    const Tensor noise = Tensor::normal({batch, points, width}, 0, 1, generator, Dtype::f64);
    leaf = Variable(encoded + noise, true);
    decoded = leaf * 1.0;
  }
  Reconstruction reconstruction() const { return {{encoded}, {decoded}, 1, points}; }
  std::vector<double> point_distances() const {
    const auto e = encoded.to_vector<double>(), d = decoded.value().to_vector<double>();
    std::vector<double> result;
    for (int64_t i = 0; i < batch * points; ++i)
      result.push_back(distance(&e[i * width], &d[i * width], width));
    return result;
  }
};

// |gradient with mining| / |gradient without| at every point.
std::vector<double> gradient_ratios(const Case& mined, const Case& plain, double p, double factor) {
  hard_mining_cosine_loss(mined.reconstruction(), p, factor).backward();
  hard_mining_cosine_loss(plain.reconstruction(), p, 1.0).backward();
  const auto a = mined.leaf.grad().to_vector<double>(), b = plain.leaf.grad().to_vector<double>();
  std::vector<double> ratios;
  for (size_t i = 0; i < a.size(); i += static_cast<size_t>(mined.width)) ratios.push_back(a[i] / b[i]);
  return ratios;
}

}  // namespace

TEST_CASE("loss: the mean over images of 1 - cos of all their values, whatever the mining") {
  const Case test(3, 10, 4);
  const auto e = test.encoded.to_vector<double>(), d = test.decoded.value().to_vector<double>();
  double expected = 0;
  for (int64_t i = 0; i < 3; ++i) expected += distance(&e[i * 40], &d[i * 40], 40) / 3;
  for (double p : {0.0, 0.3, 0.9}) {
    CHECK(hard_mining_cosine_loss(Case(3, 10, 4).reconstruction(), p, 0.1).item() ==
          doctest::Approx(expected).epsilon(1e-12));
  }
}

TEST_CASE("loss: norms are clamped at 1e-8, of points as of whole images") {
  // Two points, the second one of the decoder shorter than the clamp: its distance is 1 - 1/2, not 0.
  const Tensor encoded = Tensor::from<double>({1, 0, 1, 0}, {1, 2, 2});
  const Variable leaf(Tensor::from<double>({1, 1, 5e-9, 0}, {1, 2, 2}), true);
  const Variable decoded = leaf * 1.0;
  CHECK(distance(std::vector<double>{1, 0}.data(), std::vector<double>{5e-9, 0}.data(), 2) == 0.5);
  hard_mining_cosine_loss({{encoded}, {decoded}, 1, 2}, 0.5, 0.0).backward();
  const auto gradient = leaf.grad().to_vector<double>();
  CHECK(gradient[0] == 0);  // at 1 - 1/sqrt(2) the first point is the easy one
  CHECK(gradient[2] != 0);
  const Variable nothing(Tensor::full({1, 2, 2}, 2.5e-9, Dtype::f64));  // of norm 5e-9 as a whole
  CHECK(hard_mining_cosine_loss({{encoded}, {nothing}, 1, 2}, 0, 0.1).item() ==
        doctest::Approx(1 - 5e-9 / (std::sqrt(2.0) * 1e-8)).epsilon(1e-12));
}

TEST_CASE("loss: in f32 the threshold is one of the values compared: k points keep their gradient") {
  for (uint64_t seed = 1; seed <= 20; ++seed) {
    Generator generator(seed);
    const Tensor encoded = Tensor::normal({2, 50, 8}, 0, 1, generator);
    const Variable leaf(encoded + Tensor::normal({2, 50, 8}, 0, 0.01, generator), true);
    hard_mining_cosine_loss({{encoded}, {leaf * 1.0}, 5, 10}, 0.75, 0.0).backward();
    const auto gradient = leaf.grad().to_vector<float>();
    int kept = 0;
    for (size_t i = 0; i < gradient.size(); i += 8) kept += gradient[i] != 0;
    CHECK(kept >= 25);
    CHECK(kept <= 27);  // more than k only where two distances round alike
  }
}

TEST_CASE("loss: groups count alike") {
  const Case a(2, 6, 3, 1), b(2, 6, 3, 2);
  const double one = hard_mining_cosine_loss(a.reconstruction(), 0.5, 0.1).item();
  const double other = hard_mining_cosine_loss(b.reconstruction(), 0.5, 0.1).item();
  const Reconstruction both{{a.encoded, b.encoded}, {a.decoded, b.decoded}, 1, 6};
  CHECK(hard_mining_cosine_loss(both, 0.5, 0.1).item() == doctest::Approx((one + other) / 2).epsilon(1e-14));
}

TEST_CASE("loss: points below the k-th largest distance of the whole batch get a tenth of the gradient") {
  for (double p : {0.25, 0.5, 0.9}) {
    CAPTURE(p);
    const Case mined(2, 20, 3), plain(2, 20, 3);
    const std::vector<double> distances = mined.point_distances();
    std::vector<double> sorted = distances;
    std::sort(sorted.rbegin(), sorted.rend());
    const size_t k = static_cast<size_t>(std::max(1, static_cast<int>(40 * (1 - p))));
    const std::vector<double> ratios = gradient_ratios(mined, plain, p, 0.1);
    for (size_t i = 0; i < ratios.size(); ++i) {
      CHECK(ratios[i] == doctest::Approx(distances[i] < sorted[k - 1] ? 0.1 : 1.0).epsilon(1e-12));
    }
    CHECK(std::count_if(ratios.begin(), ratios.end(), [](double r) { return r > 0.5; }) ==
          static_cast<int64_t>(k));
  }
}

TEST_CASE("loss: p and k in double: 6400 points at p = 0.9 leave 639 of full weight, not 640") {
  const Case mined(1, 6400, 2), plain(1, 6400, 2);
  const std::vector<double> ratios = gradient_ratios(mined, plain, 0.9, 0.1);
  CHECK(std::count_if(ratios.begin(), ratios.end(), [](double r) { return r > 0.5; }) == 639);
}

TEST_CASE("loss: equal distances are not below each other, so none is weakened; at least one point counts") {
  Case mined(1, 8, 2), plain(1, 8, 2);
  for (Case* test : {&mined, &plain}) {
    test->encoded = Tensor::ones({1, 8, 2}, Dtype::f64);
    test->leaf = Variable(
        Tensor::from(std::vector<double>{1, 0, 1, 0, 1, 0, 1, 0, 1, 0, 1, 0, 1, 0, 1, 0}, {1, 8, 2}), true);
    test->decoded = test->leaf * 1.0;
  }
  for (double ratio : gradient_ratios(mined, plain, 0.9, 0.1)) CHECK(ratio == doctest::Approx(1.0));
  const Case few(1, 5, 3), few_plain(1, 5, 3);
  const std::vector<double> ratios = gradient_ratios(few, few_plain, 0.9, 0.1);  // int(5 * 0.1) = 0 -> 1
  CHECK(std::count_if(ratios.begin(), ratios.end(), [](double r) { return r > 0.5; }) == 1);
}

TEST_CASE("loss: the hook sees the sum of all contributions, and what lies upstream sees the hook's result") {
  const Case mined(1, 12, 3), plain(1, 12, 3);
  const auto run = [](const Case& test, double factor) {
    // A second use of the decoder's features: its gradient of ones is weakened, too.
    (hard_mining_cosine_loss(test.reconstruction(), 0.5, factor) + sum(test.decoded)).backward();
    return test.leaf.grad().to_vector<double>();
  };
  const auto a = run(mined, 0.1), b = run(plain, 1.0);
  int weakened = 0;
  for (size_t i = 0; i < a.size(); ++i) {
    const bool easy = a[i] == doctest::Approx(0.1 * b[i]).epsilon(1e-12);
    CHECK((easy || a[i] == b[i]));
    weakened += easy;
  }
  CHECK(weakened == 18);  // 6 of 12 points of width 3
}

TEST_CASE("loss: the encoder's side gets no gradient, and nothing is needed where none is recorded") {
  const Case test(1, 4, 2);
  CHECK(no_grad([&] { return hard_mining_cosine_loss(test.reconstruction(), 0.5, 0.1); }).requires_grad() ==
        false);
}

TEST_CASE("loss: the share of easy points grows over 1000 steps whatever the run's length") {
  Config config;
  CHECK(mining_share(config, 0) == 0);
  CHECK(mining_share(config, 1) == 0.9 * 1 / 1000);
  CHECK(mining_share(config, 500) == 0.9 * 500 / 1000);
  CHECK(mining_share(config, 1000) == 0.9);
  CHECK(mining_share(config, 9999) == 0.9);
  config.iterations = 10;
  CHECK(mining_share(config, 500) == 0.9 * 500 / 1000);
}

}  // namespace dinomaly
