#include "nn/self_supervision.h"

#include <doctest/doctest.h>

#include <cmath>

#include "autograd/gradcheck.h"
#include "tests/support.h"

namespace nabla {

namespace {

// The formula, literally, in f64.
double info_nce_by_hand(const Tensor& q, const Tensor& k, const std::vector<int64_t>& positives,
                        double temperature) {
  const int64_t width = q.size(1);
  const auto row = [width](const Tensor& x, int64_t r) { return x.data<double>() + r * width; };
  const auto dot = [width](const double* a, const double* b) {
    double total = 0;
    for (int64_t i = 0; i < width; ++i) total += a[i] * b[i];
    return total;
  };
  double loss = 0, counted = 0;
  for (int64_t i = 0; i < q.size(0); ++i) {
    if (positives[i] == ignored_label) continue;
    double all = 0, own = 0;
    for (int64_t j = 0; j < k.size(0); ++j) {
      const double* a = row(q, i);
      const double* b = row(k, j);
      const double value = std::exp(dot(a, b) / std::sqrt(dot(a, a) * dot(b, b)) / temperature);
      all += value;
      if (j == positives[i]) own = value;
    }
    loss -= std::log(own / all);
    ++counted;
  }
  return loss / counted;
}

}  // namespace

TEST_CASE("info_nce: the formula's value and gradient, with queries that do not count") {
  Generator generator(3);
  const Tensor q = Tensor::normal({5, 7}, 0, 2, generator, Dtype::f64),
               k = Tensor::normal({4, 7}, 1, 2, generator, Dtype::f64);
  const std::vector<int64_t> positives{2, ignored_label, 0, 3, 2};
  const Tensor labels = Tensor::from(positives, {5});
  const Variable loss = info_nce(q, k, labels, 0.15);
  CHECK(loss.item() == doctest::Approx(info_nce_by_hand(q, k, positives, 0.15)).epsilon(1e-12));
  gradcheck([&](const std::vector<Variable>& in) { return info_nce(in[0], in[1], labels, 0.15); }, {q, k},
            generator);
  Variable queries(q, true);
  info_nce(queries, k, labels, 0.15).backward();
  CHECK(reduce(Reduce::sum, queries.grad().select(0, 1) * queries.grad().select(0, 1)).item() == 0);
}

TEST_CASE("info_nce: equal keys leave the logarithm of their number, whatever the lengths") {
  const Tensor labels = Tensor::from<int64_t>({0, 1}, {2});
  const double loss = info_nce(Tensor::full({2, 3}, 5), Tensor::full({8, 3}, 0.1), labels, 0.15).item();
  CHECK(loss == doctest::Approx(std::log(8.0)).epsilon(1e-5));
}

TEST_CASE("info_nce: what does not fit is refused") {
  const Tensor x = Tensor::ones({2, 3}), labels = Tensor::from<int64_t>({0, 1}, {2});
  CHECK_THROWS_WITH_AS(info_nce(x, Tensor::ones({2, 4}), labels, 1),
                       "info_nce: queries (2, 3) and keys (2, 4) are not (N, D) and (M, D)", Error);
  CHECK_THROWS_AS(info_nce(x, x, labels, 0), Error);
  CHECK_THROWS_AS(info_nce(x, x, Tensor::full({2}, ignored_label, Dtype::i64), 1), Error);
}

TEST_CASE("variance and covariance: 0 for white features, by the formula for others") {
  // Rows of a Hadamard matrix: columns are uncorrelated, with variance 4 / 3.
  const Tensor white = Tensor::from<double>({1, 1, -1, 1, 1, -1, -1, -1}, {4, 2});
  const VarianceCovariance none = variance_covariance(white);
  CHECK(none.variance.item() == 0);
  CHECK(none.covariance.item() == 0);
  const Tensor same = Tensor::from<double>({3.2, 3.2, 2.8, 2.8}, {2, 2});  // variance and covariance 0.08
  const VarianceCovariance dominated = variance_covariance(same);
  CHECK(dominated.variance.item() == doctest::Approx(1 - std::sqrt(0.08 + 1e-4)));
  CHECK(dominated.covariance.item() == doctest::Approx(2 * 0.08 * 0.08 / 2));
  CHECK_THROWS_AS(variance_covariance(Tensor::ones({1, 3})), Error);
}

TEST_CASE("variance and covariance: gradients are those of finite differences") {
  Generator generator(4);
  const Tensor x = Tensor::normal({6, 5}, 0, 0.5, generator, Dtype::f64);
  gradcheck([](const std::vector<Variable>& in) { return variance_covariance(in[0]).variance; }, {x},
            generator);
  gradcheck([](const std::vector<Variable>& in) { return variance_covariance(in[0]).covariance; }, {x},
            generator);
}

}  // namespace nabla
