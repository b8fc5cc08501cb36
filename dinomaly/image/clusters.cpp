#include "dinomaly/image/clusters.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>
#include <span>
#include <unordered_map>

#include "dinomaly/base/framework.h"
#include "tensor/error.h"

namespace dinomaly {

namespace {

double squared_distance(const Point3& a, const Point3& b) {
  double sum = 0;
  for (size_t i = 0; i < 3; ++i) sum += (double{a[i]} - b[i]) * (double{a[i]} - b[i]);
  return sum;
}

struct Bounds {
  explicit Bounds(std::span<const Point3> points) {
    for (const Point3& point : points) {
      for (size_t i = 0; i < 3; ++i)
        low[i] = std::min(low[i], point[i]), high[i] = std::max(high[i], point[i]);
    }
  }
  size_t longest() const {
    size_t axis = 0;
    for (size_t i = 1; i < 3; ++i) axis = high[i] - low[i] > high[axis] - low[axis] ? i : axis;
    return axis;
  }
  float length() const { return high[longest()] - low[longest()]; }

  static constexpr float infinite = std::numeric_limits<float>::infinity();
  Point3 low{infinite, infinite, infinite}, high{-infinite, -infinite, -infinite};
};

// Whether any point of `a` and any of `b` are nearer than the root of `limit`. Halves them until their bounds decide it:
// all pairs of two large sets would be too many. Reorders the points.
bool any_near(std::span<Point3> a, std::span<Point3> b, double limit) {
  constexpr size_t few = 1024;
  if (a.empty() || b.empty()) return false;
  if (a.size() * b.size() <= few) {
    return std::any_of(a.begin(), a.end(), [&](const Point3& p) {
      return std::any_of(b.begin(), b.end(), [&](const Point3& q) { return squared_distance(p, q) < limit; });
    });
  }
  const Bounds of_a(a), of_b(b);
  double least = 0, most = 0;
  for (size_t i = 0; i < 3; ++i) {
    const double gap =
        std::max({0.0, double{of_a.low[i]} - of_b.high[i], double{of_b.low[i]} - of_a.high[i]});
    const double span = std::max(double{of_a.high[i]} - of_b.low[i], double{of_b.high[i]} - of_a.low[i]);
    least += gap * gap, most += span * span;
  }
  if (least >= limit) return false;
  if (most < limit) return true;
  if (of_a.length() < of_b.length()) return any_near(b, a, limit);
  const size_t axis = of_a.longest(), half = a.size() / 2;
  std::nth_element(a.begin(), a.begin() + static_cast<std::ptrdiff_t>(half), a.end(),
                   [axis](const Point3& p, const Point3& q) { return p[axis] < q[axis]; });
  return any_near(a.first(half), b, limit) || any_near(a.subspan(half), b, limit);
}

// Space in cubes whose points are all near each other (Gunawan, 2013): most need not be compared.
class Cubes {
 public:
  Cubes(const std::vector<Point3>& points, double radius, int64_t least)
      : points_(points), limit_(radius * radius), side_(radius / std::sqrt(3.0) * 0.9999), least_(least) {
    sort_points();
    find_core_points();
    join();
  }

  std::vector<int32_t> labels() {
    std::vector<int32_t> of_root(cubes_.size(), -1), result(points_.size(), -1);
    int32_t count = 0;
    for (size_t i = 0; i < points_.size(); ++i) {
      if (!core_[i]) continue;
      int32_t& label = of_root[root(cube_of_[i])];
      if (label < 0) label = count++;
      result[i] = label;
    }
    for (size_t i = 0; i < points_.size(); ++i) {
      if (core_[i]) continue;
      uint32_t first = static_cast<uint32_t>(-1);
      const auto look = [&](size_t cube) {
        const auto label = static_cast<uint32_t>(of_root[root(cube)]);  // -1, none, is the largest
        if (label < first && near_any_core(points_[i], cubes_[cube])) first = label;
        return true;
      };
      look(cube_of_[i]);
      around(cube_of_[i], look);
      result[i] = static_cast<int32_t>(first);
    }
    return result;
  }

 private:
  struct Cube {
    uint64_t key = 0;
    std::vector<size_t> points = {};
    std::vector<Point3> core = {};
  };
  static constexpr int bits = 21;  // of each coordinate of a key
  static constexpr int64_t middle = int64_t{1} << (bits - 1);

  static uint64_t key_of(int64_t x, int64_t y, int64_t z) {
    return (static_cast<uint64_t>(x) << (2 * bits)) + (static_cast<uint64_t>(y) << bits) +
           static_cast<uint64_t>(z);
  }

  void sort_points() {
    for (size_t i = 0; i < points_.size(); ++i) {
      std::array<int64_t, 3> at{};
      for (size_t axis = 0; axis < 3; ++axis) {
        const double place = std::floor(points_[i][axis] / side_);
        check(std::abs(place) < static_cast<double>(middle) - 2, "dbscan: a coordinate of {}",
              points_[i][axis]);
        at[axis] = static_cast<int64_t>(place) + middle;
      }
      const uint64_t key = key_of(at[0], at[1], at[2]);
      const auto [found, is_new] = places_.try_emplace(key, cubes_.size());
      if (is_new) cubes_.push_back({key});
      cubes_[found->second].points.push_back(i);
      cube_of_.push_back(found->second);
    }
  }

  // Calls `visit` for the other cubes that can hold a near point, until it says false.
  template <class Visit>
  void around(size_t cube, Visit visit) const {
    const uint64_t key = cubes_[cube].key;
    for (int64_t x = -2; x <= 2; ++x) {
      for (int64_t y = -2; y <= 2; ++y) {
        for (int64_t z = -2; z <= 2; ++z) {
          if (x == 0 && y == 0 && z == 0) continue;
          const auto found = places_.find(key + key_of(x, y, z));  // the sums carry: unsigned
          if (found != places_.end() && !visit(found->second)) return;
        }
      }
    }
  }

  void find_core_points() {
    core_.resize(points_.size());
    for (size_t c = 0; c < cubes_.size(); ++c) {
      Cube& cube = cubes_[c];
      const auto own = static_cast<int64_t>(cube.points.size());
      for (const size_t i : cube.points) {
        int64_t count = own;
        if (count < least_) {
          around(c, [&](size_t other) {
            for (const size_t j : cubes_[other].points) {
              count += squared_distance(points_[i], points_[j]) < limit_;
              if (count >= least_) return false;
            }
            return true;
          });
        }
        core_[i] = count >= least_;
        if (core_[i]) cube.core.push_back(points_[i]);
      }
    }
  }

  size_t root(size_t cube) {
    while (parents_[cube] != cube) cube = parents_[cube] = parents_[parents_[cube]];
    return cube;
  }

  void join() {
    parents_.resize(cubes_.size());
    std::iota(parents_.begin(), parents_.end(), size_t{0});
    for (size_t c = 0; c < cubes_.size(); ++c) {
      if (cubes_[c].core.empty()) continue;
      around(c, [&](size_t other) {
        if (other > c && root(c) != root(other) && any_near(cubes_[c].core, cubes_[other].core, limit_))
          parents_[root(c)] = root(other);
        return true;
      });
    }
  }

  bool near_any_core(const Point3& point, const Cube& cube) const {
    return std::any_of(cube.core.begin(), cube.core.end(),
                       [&](const Point3& core) { return squared_distance(point, core) < limit_; });
  }

  const std::vector<Point3>& points_;
  double limit_, side_;
  int64_t least_;
  std::vector<Cube> cubes_;
  std::unordered_map<uint64_t, size_t> places_;  // by key
  std::vector<size_t> cube_of_, parents_;
  std::vector<uint8_t> core_;
};

}  // namespace

std::vector<int32_t> dbscan(const std::vector<Point3>& points, double radius, int64_t least) {
  check(radius > 0 && least > 0, "dbscan: a radius of {} and {} points", radius, least);
  return Cubes(points, radius, least).labels();
}

}  // namespace dinomaly
