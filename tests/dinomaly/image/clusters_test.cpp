// DBSCAN against the textbook's algorithm, which compares each point with each.
#include "dinomaly/image/clusters.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <deque>
#include <set>

#include "dinomaly/base/framework.h"
#include "tensor/random.h"
#include "tests/support.h"

namespace dinomaly {

namespace {

std::vector<size_t> near(const std::vector<Point3>& points, size_t i, double radius) {
  std::vector<size_t> result;
  for (size_t j = 0; j < points.size(); ++j) {
    double sum = 0;
    for (size_t c = 0; c < 3; ++c)
      sum += (double{points[i][c]} - points[j][c]) * (double{points[i][c]} - points[j][c]);
    if (sum < radius * radius) result.push_back(j);
  }
  return result;
}

std::vector<int32_t> textbook(const std::vector<Point3>& points, double radius, size_t least) {
  constexpr int32_t unseen = -2;
  std::vector<int32_t> labels(points.size(), unseen);
  int32_t cluster = 0;
  for (size_t i = 0; i < points.size(); ++i) {
    if (labels[i] != unseen) continue;
    const std::vector<size_t> first = near(points, i, radius);
    if (first.size() < least) {
      labels[i] = -1;
      continue;
    }
    labels[i] = cluster;
    std::deque<size_t> queue(first.begin(), first.end());
    for (; !queue.empty(); queue.pop_front()) {
      int32_t& label = labels[queue.front()];
      if (label >= 0) continue;
      const bool seen = label == -1;
      label = cluster;
      const std::vector<size_t> more = seen ? std::vector<size_t>{} : near(points, queue.front(), radius);
      if (more.size() >= least) queue.insert(queue.end(), more.begin(), more.end());
    }
    ++cluster;
  }
  return labels;
}

std::vector<Point3> random_points(int64_t count, double extent, uint64_t seed) {
  Generator generator(seed);
  std::vector<Point3> points(static_cast<size_t>(count));
  for (Point3& point : points) {
    for (float& value : point) value = static_cast<float>(extent * (generator.uniform() - 0.5));
  }
  return points;
}

}  // namespace

TEST_CASE("clusters: those of the textbook, with their numbers, at all densities") {
  bool several = false, noise = false, touching = false;
  for (uint64_t seed = 0; seed < 24; ++seed) {
    const double extent = 3 + static_cast<double>(seed % 12);
    const std::vector<Point3> points = random_points(400, extent, seed);
    std::vector<std::vector<size_t>> neighbours;
    for (size_t i = 0; i < points.size(); ++i) neighbours.push_back(near(points, i, 1));
    for (const int64_t least : {1, 4, 9}) {
      const std::vector<int32_t> labels = dbscan(points, 1, least);
      REQUIRE(labels == textbook(points, 1, static_cast<size_t>(least)));
      several |= *std::max_element(labels.begin(), labels.end()) > 2;
      noise |= std::count(labels.begin(), labels.end(), -1) > 0;
      for (const std::vector<size_t>& around : neighbours) {  // a point that two clusters are near to
        std::set<int32_t> clusters;
        for (const size_t j : around) {
          if (neighbours[j].size() >= static_cast<size_t>(least)) clusters.insert(labels[j]);
        }
        touching |= clusters.size() > 1;
      }
    }
  }
  CHECK((several && noise && touching));
}

TEST_CASE("clusters: near is less than the radius, to the last bit, also of many points") {
  const auto two = [](float apart) { return dbscan({{0, 0, 0}, {apart, 0, 0}}, 1, 2); };
  CHECK(two(1.0f) == std::vector<int32_t>{-1, -1});
  CHECK(two(std::nextafter(1.0f, 0.0f)) == std::vector<int32_t>{0, 0});
  // Two balls with thousands of points in cubes beside each other, whose nearest points are just near, or just not.
  for (const float gap : {0.999f, 1.001f}) {
    std::vector<Point3> points = random_points(8000, 0.2, 5);
    for (size_t i = 0; i < points.size(); ++i) points[i][0] += i % 2 == 0 ? -0.2f : 0.2f + gap;
    points.push_back({0, 0, 0});
    points.push_back({gap, 0, 0});
    const std::vector<int32_t> labels = dbscan(points, 1, 3);
    CHECK(*std::max_element(labels.begin(), labels.end()) == (gap < 1 ? 0 : 1));
    CHECK(std::count(labels.begin(), labels.end(), 0) == (gap < 1 ? 8002 : 4001));
  }
}

TEST_CASE("clusters: many points in one place, none at all, and places beyond the limit") {
  CHECK(dbscan(std::vector<Point3>(100000, Point3{1, 2, 3}), 0.5, 30) == std::vector<int32_t>(100000, 0));
  CHECK(dbscan({}, 1, 1).empty());
  const auto far = static_cast<float>(farthest_in_radii);
  CHECK(dbscan({{far, -far, far}, {-far, far, -far}}, 1, 1) == std::vector<int32_t>{0, 1});
  CHECK_THROWS_AS(dbscan({{2 * far, 0, 0}}, 1, 1), Error);
}

}  // namespace dinomaly
