// SPEC "Map and score", each step by hand in double.
#include "dinomaly/model/anomaly_map.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <numeric>

#include "dinomaly/base/framework.h"
#include "tests/support.h"

namespace dinomaly {

namespace {

using Plane = std::vector<std::vector<double>>;

Plane make_plane(int64_t rows, int64_t columns) { return Plane(rows, std::vector<double>(columns)); }

// Bilinear: source = i (m - 1) / (n - 1) with align_corners, else (i + 0.5) m / n - 0.5, not below 0.
Plane bilinear(const Plane& x, int64_t rows, int64_t columns, bool align_corners) {
  const auto place = [&](int64_t i, int64_t n, int64_t m) {
    if (align_corners) return n > 1 ? static_cast<double>(i * (m - 1)) / static_cast<double>(n - 1) : 0.0;
    return std::max(0.0,
                    (static_cast<double>(i) + 0.5) * static_cast<double>(m) / static_cast<double>(n) - 0.5);
  };
  Plane y = make_plane(rows, columns);
  const int64_t h = static_cast<int64_t>(x.size()), w = static_cast<int64_t>(x[0].size());
  for (int64_t i = 0; i < rows; ++i) {
    for (int64_t j = 0; j < columns; ++j) {
      const double v = place(i, rows, h), u = place(j, columns, w);
      const int64_t top = static_cast<int64_t>(v), left = static_cast<int64_t>(u);
      const int64_t bottom = std::min(top + 1, h - 1), right = std::min(left + 1, w - 1);
      const double b = v - static_cast<double>(top), a = u - static_cast<double>(left);
      y[i][j] = (1 - b) * ((1 - a) * x[top][left] + a * x[top][right]) +
                b * ((1 - a) * x[bottom][left] + a * x[bottom][right]);
    }
  }
  return y;
}

Plane gaussian_blur(const Plane& x, bool reflects) {
  const int64_t n = static_cast<int64_t>(x.size());
  const auto at = [&](int64_t i, int64_t j) {
    if (reflects) {
      const auto mirror = [&](int64_t k) { return k < 0 ? -k : k >= n ? 2 * n - 2 - k : k; };
      return x[mirror(i)][mirror(j)];
    }
    return i < 0 || j < 0 || i >= n || j >= n ? 0.0 : x[i][j];
  };
  double total = 0;
  for (int64_t dy = -2; dy <= 2; ++dy) {
    for (int64_t dx = -2; dx <= 2; ++dx) total += std::exp(-static_cast<double>(dx * dx + dy * dy) / 32);
  }
  Plane y = make_plane(n, n);
  for (int64_t i = 0; i < n; ++i) {
    for (int64_t j = 0; j < n; ++j) {
      for (int64_t dy = -2; dy <= 2; ++dy) {
        for (int64_t dx = -2; dx <= 2; ++dx) {
          y[i][j] += std::exp(-static_cast<double>(dx * dx + dy * dy) / 32) / total * at(i + dy, j + dx);
        }
      }
    }
  }
  return y;
}

// Two groups of (1, 3 * 4, 5) features.
Reconstruction random_reconstruction() {
  Generator generator(4);
  Reconstruction result{{}, {}, 3, 4};
  for (int group = 0; group < 2; ++group) {
    result.encoded.push_back(Tensor::normal({1, 12, 5}, 0, 1, generator, Dtype::f64));
    result.decoded.emplace_back(Tensor::normal({1, 12, 5}, 0, 1, generator, Dtype::f64));
  }
  return result;
}

// 1 - cos over the width, as a plane of 3 x 4.
Plane distances(const Tensor& encoded, const Tensor& decoded) {
  const auto e = encoded.to_vector<double>(), d = decoded.to_vector<double>();
  Plane plane = make_plane(3, 4);
  for (int64_t i = 0; i < 12; ++i) {
    double dot = 0, ee = 0, dd = 0;
    for (int64_t j = 5 * i; j < 5 * i + 5; ++j) dot += e[j] * d[j], ee += e[j] * e[j], dd += d[j] * d[j];
    plane[i / 4][i % 4] = 1 - dot / std::sqrt(ee * dd);
  }
  return plane;
}

double distance_from(const Tensor& x, const Plane& expected) {
  const auto values = x.to_vector<double>();
  const size_t columns = expected[0].size();
  REQUIRE(values.size() == expected.size() * columns);
  double largest = 0;
  for (size_t i = 0; i < values.size(); ++i) {
    largest = std::max(largest, std::abs(values[i] - expected[i / columns][i % columns]));
  }
  return largest;
}

}  // namespace

TEST_CASE(
    "anomaly map: groups to the input's size with aligned corners, averaged; then map size, blur, score") {
  const Reconstruction reconstruction = random_reconstruction();
  Plane map = make_plane(42, 56);
  for (int group = 0; group < 2; ++group) {
    const Plane one = bilinear(
        distances(reconstruction.encoded[group], reconstruction.decoded[group].value()), 42, 56, true);
    for (int64_t i = 0; i < 42; ++i) {
      for (int64_t j = 0; j < 56; ++j) map[i][j] += one[i][j] / 2;
    }
  }
  const Plane small = bilinear(map, 20, 20, false);
  for (Preset preset : {Preset::paper, Preset::anomalib}) {
    Config config = Config::with_preset(preset);
    config.map_size = 20;
    config.score_ratio = 0.05;
    const AnomalyMaps maps = anomaly_maps(reconstruction, 42, 56, config);
    CHECK(maps.map.shape() == Shape{1, 42, 56});
    CHECK(distance_from(maps.map, map) < 1e-12);
    const Plane blurred = gaussian_blur(small, preset == Preset::anomalib);
    CHECK(maps.blurred.shape() == Shape{1, 20, 20});
    CHECK(distance_from(maps.blurred, blurred) < 1e-12);
    std::vector<double> all;
    for (const auto& row : blurred) all.insert(all.end(), row.begin(), row.end());
    std::sort(all.rbegin(), all.rend());
    CHECK(maps.score.item() ==
          doctest::Approx(std::accumulate(all.begin(), all.begin() + 20, 0.0) / 20).epsilon(1e-12));
    config.score_ratio = 0;
    CHECK(anomaly_maps(reconstruction, 42, 56, config).score.item() ==
          doctest::Approx(all[0]).epsilon(1e-12));
  }
}

TEST_CASE("anomaly map: by default 655 of 256 x 256 values make the score, and the last counts") {
  const Reconstruction reconstruction = random_reconstruction();
  const AnomalyMaps maps = anomaly_maps(reconstruction, 392, 392, Config());
  auto values = maps.blurred.to_vector<double>();
  REQUIRE(values.size() == 256 * 256);
  std::sort(values.rbegin(), values.rend());
  CHECK(maps.score.item() ==
        doctest::Approx(std::accumulate(values.begin(), values.begin() + 655, 0.0) / 655).epsilon(1e-13));
}

TEST_CASE("anomaly map: equal features are no anomaly, opposite ones the largest") {
  Reconstruction same = random_reconstruction();
  same.decoded = {Variable(same.encoded[0]), Variable(same.encoded[1])};
  for (double value : anomaly_maps(same, 42, 56, Config()).map.to_vector<double>())
    CHECK(std::abs(value) < 1e-12);
  Reconstruction opposite = same;
  opposite.decoded = {Variable(-same.encoded[0]), Variable(-same.encoded[1])};
  for (double value : anomaly_maps(opposite, 42, 56, Config()).map.to_vector<double>())
    CHECK(value == doctest::Approx(2));
}

}  // namespace dinomaly
