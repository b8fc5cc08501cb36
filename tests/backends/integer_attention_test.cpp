// Attention by integers of 16 bits against attention in f64.
#include "backends/cpu/integer_attention.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <vector>

#include "tensor/kernels.h"
#include "tensor/ops.h"

namespace nabla {

#ifdef __SSE2__

namespace {

struct Attended {
  Tensor out, logsumexp;
};

// Of q (B, H, N, d), k and v (B, H, M, d), all of T.
template <class T>
Attended by_integers(const Tensor& q, const Tensor& k, const Tensor& v, double scale) {
  const Attended made{Tensor::empty(q.shape(), q.dtype()),
                      Tensor::empty({q.size(0), q.size(1), q.size(2)}, Dtype::f32)};
  attention_forward<IntegerAttentionBlock>(Heads<T>(q), Heads<T>(k), Heads<T>(v), scale, Heads<T>(made.out),
                                           made.logsumexp.data<float>(), q.size(0) * q.size(1));
  return made;
}

Attended exact(const Tensor& q, const Tensor& k, const Tensor& v, double scale) {
  const auto wide = [](const Tensor& x) { return x.to(Dtype::f64); };
  const Attended made{Tensor::empty(q.shape(), Dtype::f64),
                      Tensor::empty({q.size(0), q.size(1), q.size(2)}, Dtype::f64)};
  kernels_for(Device::cpu()).attention(wide(q), wide(k), wide(v), scale, false, made.out, made.logsumexp);
  return made;
}

// max |got - expected| / max |expected|.
double relative_error(const Tensor& got, const Tensor& expected) {
  const std::vector<double> a = got.to_vector<double>(), b = expected.to_vector<double>();
  double difference = 0, largest = 0;
  for (size_t i = 0; i < b.size(); ++i) {
    largest = std::max(largest, std::abs(b[i]));
    difference = a[i] == a[i] ? std::max(difference, std::abs(a[i] - b[i])) : INFINITY;
  }
  return difference / largest;
}

// A row of tokens of width 1.
Tensor tokens(const std::vector<float>& x) {
  return Tensor::from<float>(x, {1, 1, static_cast<int64_t>(x.size()), 1});
}

}  // namespace

// Queries and keys that fill no tile, widths that fill no word and no strip, and ViT-S's own.
TEST_CASE("attention by integers is near that in f64") {
  Generator generator(3);
  for (const auto& [queries, keys, width] : std::vector<std::array<int64_t, 3>>{
           {1, 1, 1}, {5, 4, 7}, {6, 64, 16}, {7, 65, 17}, {19, 130, 64}, {13, 789, 64}, {3, 67, 90}}) {
    CAPTURE(queries);
    CAPTURE(keys);
    CAPTURE(width);
    const Tensor q = Tensor::normal({2, 3, queries, width}, 0, 1, generator),
                 k = Tensor::normal({2, 3, keys, width}, 0, 1, generator),
                 v = Tensor::normal({2, 3, keys, width}, 0, 1, generator);
    const double scale = 1 / std::sqrt(static_cast<double>(width));
    const Attended expected = exact(q, k, v, scale), got = by_integers<float>(q, k, v, scale);
    CHECK(relative_error(got.out, expected.out) <= 2e-3);
    CHECK(relative_error(got.logsumexp, expected.logsumexp) <= 2e-4);
    const auto narrow = [](const Tensor& x) { return x.to(Dtype::bf16); };
    const Attended rounded = by_integers<BFloat16>(narrow(q), narrow(k), narrow(v), scale);
    CHECK(relative_error(rounded.out, exact(narrow(q), narrow(k), narrow(v), scale).out) <= 6e-3);
  }
}

// The example of the header. Rounded to steps of the largest probability, the two keys that matter would be 0.
TEST_CASE("attention by integers: a key of next to nothing does not hide the others") {
  const std::vector<float> p{0.999985f, 0.00001f, 0.000005f};
  std::vector<float> scores;
  for (const float x : p) scores.push_back(std::log(x));
  const Tensor q = tokens({1}), k = tokens(scores), v = tokens({0.001f, 1000, -1000});
  const double expected = exact(q, k, v, 1).out.to(Dtype::f32).data<float>()[0];
  CHECK(expected == doctest::Approx(0.006).epsilon(1e-3));
  CHECK(by_integers<float>(q, k, v, 1).out.data<float>()[0] == doctest::Approx(expected).epsilon(2e-3));

  std::vector<float> weights(line_columns);
  const float values[] = {0.001f, 1000, 1000};
  for (size_t i = 0; i < p.size(); ++i) weights[i] = p[i] * values[i];
  int16_t steps[3];
  round_weights(weights.data(), 3, 32766 / weights[1], steps);
  CHECK(std::vector<int16_t>(steps, steps + 3) == std::vector<int16_t>{3277, 32766, 16383});
}

// The sink has the first channel, all others the second: each of them is less than half a step.
TEST_CASE("attention by integers: many small weights beside a large one keep their sum") {
  for (const int64_t keys : {int64_t{789}, int64_t{8192}}) {
    for (const double others : {0.01, 0.05, 0.1}) {
      CAPTURE(keys);
      CAPTURE(others);
      const Tensor q = Tensor::ones({1, 1, 1, 2}), k = Tensor::zeros({1, 1, keys, 2}),
                   v = Tensor::zeros({1, 1, keys, 2});
      k.data<float>()[14] =
          static_cast<float>(std::log((1 - others) / others * static_cast<double>(keys - 1)));
      for (int64_t key = 0; key < keys; ++key) v.data<float>()[2 * key + (key == 7 ? 0 : 1)] = 1;
      const Tensor out = by_integers<float>(q, k, v, 1).out;
      CHECK(out.data<float>()[0] == doctest::Approx(1 - others).epsilon(2e-3));
      CHECK(out.data<float>()[1] == doctest::Approx(others).epsilon(1e-2));
    }
  }
}

TEST_CASE(
    "attention by integers: a channel of a thousand times the others' size takes none of their digits") {
  Generator generator(9);
  constexpr int64_t keys = 789, width = 64;
  const auto random = [&](int64_t rows) { return Tensor::normal({1, 1, rows, width}, 0, 1, generator); };
  const Tensor q = random(30), k = random(keys), v = random(keys);
  for (int64_t key = 0; key < keys; ++key) {
    v.data<float>()[key * width + 3] *= 1000;
    v.data<float>()[key * width + 5] *= 1e-3f;
    v.data<float>()[key * width + 7] += 1000;
  }
  const Tensor got = by_integers<float>(q, k, v, 0.125).out, expected = exact(q, k, v, 0.125).out;
  for (int64_t j = 0; j < width; ++j)
    CHECK(relative_error(got.slice(3, j, j + 1), expected.slice(3, j, j + 1)) <= 5e-3);
}

TEST_CASE(
    "attention by integers: one token of a thousand times the others' size leaves the others their digits") {
  Generator generator(5);
  constexpr int64_t width = 64, keys = 100;
  const Tensor q = Tensor::normal({1, 1, 12, width}, 0, 1, generator),
               k = Tensor::normal({1, 1, keys, width}, 0, 1, generator),
               v = Tensor::normal({1, 1, keys, width}, 0, 1, generator);
  for (int64_t j = 0; j < width; ++j) {
    q.data<float>()[11 * width + j] *= 1000;
    k.data<float>()[40 * width + j] *= 1e-3f;  // a small one, which must not become 0
    v.data<float>()[40 * width + j] *= 1000;
  }
  const Attended expected = exact(q, k, v, 0.125), got = by_integers<float>(q, k, v, 0.125);
  CHECK(relative_error(got.out, expected.out) <= 2e-3);
  CHECK(relative_error(got.logsumexp, expected.logsumexp) <= 1e-3);
  // And without the large value.
  std::fill_n(v.data<float>() + 40 * width, width, 0.0f);
  CHECK(relative_error(by_integers<float>(q, k, v, 0.125).out, exact(q, k, v, 0.125).out) <= 2e-3);
}

// All sums as large as they can be: they would leave 32 bits, with twice the steps.
TEST_CASE("attention by integers: no sum leaves 32 bits") {
  for (const auto& [keys, width] : std::vector<std::array<int64_t, 2>>{
           {1, 1}, {2, 1}, {2, 8}, {40, 32}, {789, 64}, {8192, 3}, {40, 1000}}) {
    CAPTURE(keys);
    CAPTURE(width);
    const Tensor ones = Tensor::ones({1, 1, keys, width}), q = Tensor::ones({1, 1, 2, width});
    const Attended got = by_integers<float>(q, ones, ones, 1);
    for (int64_t i = 0; i < 2 * width; ++i)
      REQUIRE(got.out.data<float>()[i] == doctest::Approx(1).epsilon(5e-3));
    const double expected = static_cast<double>(width) + std::log(static_cast<double>(keys));
    CHECK(got.logsumexp.data<float>()[1] == doctest::Approx(expected).epsilon(1e-5));
    const Attended negative = by_integers<float>(q, ones * -1.0, ones * -1.0, 1);
    for (int64_t i = 0; i < 2 * width; ++i)
      REQUIRE(negative.out.data<float>()[i] == doctest::Approx(-1).epsilon(5e-3));
  }
}

TEST_CASE("attention by integers: zeros, and what is not finite") {
  const Tensor q = tokens({0, 1}), k = tokens({1, 2, 3}), v = tokens({1, 2, 3});
  const auto outputs = [](const Tensor& q, const Tensor& k, const Tensor& v) {
    const Tensor out = by_integers<float>(q, k, v, 1).out;
    return std::vector<float>(out.data<float>(), out.data<float>() + out.numel());
  };
  CHECK(outputs(q, k, v)[0] == doctest::Approx(2).epsilon(1e-3));
  CHECK(outputs(q, k, tokens({0, 0, 0})) == std::vector<float>{0, 0});
  CHECK(outputs(tokens({0, 0}), tokens({0, 0, 0}), v)[1] == doctest::Approx(2).epsilon(1e-3));
  for (const float bad : {std::numeric_limits<float>::quiet_NaN(), std::numeric_limits<float>::infinity()}) {
    CAPTURE(bad);
    CHECK(std::isnan(outputs(tokens({bad, 1}), k, v)[0]));
    CHECK(outputs(tokens({bad, 1}), k, v)[1] == outputs(q, k, v)[1]);
    for (size_t i = 0; i < 2; ++i) {
      CHECK(std::isnan(outputs(q, tokens({1, bad, 3}), v)[i]));
      CHECK(std::isnan(outputs(q, k, tokens({1, bad, 3}))[i]));
    }
  }
}

#endif

}  // namespace nabla
