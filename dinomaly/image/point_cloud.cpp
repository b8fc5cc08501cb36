#include "dinomaly/image/point_cloud.h"

#include <Eigen/Dense>
#include <algorithm>
#include <cmath>
#include <cstring>

#include "dinomaly/base/framework.h"
#include "dinomaly/base/numbers.h"
#include "dinomaly/image/pixel_rows.h"
#include "dinomaly/image/tiff_file.h"
#include "tensor/error.h"
#include "tensor/random.h"

namespace dinomaly {

namespace fs = std::filesystem;

namespace {

// In metres, but for counts.
constexpr int64_t border = 10;
constexpr double fits_plane = 0.004, on_plane = 0.005, cluster_radius = 0.006;
constexpr int64_t cluster_points = 30;
constexpr size_t fewest_in_border = 50;
constexpr int planes_tried = 1000, passes = 3;
constexpr float farthest = 3000;
static_assert(farthest <= farthest_in_radii * cluster_radius);

bool is_point(const Point3& point) { return point[2] > 0; }

bool in_border(const PointCloud& cloud, int64_t x, int64_t y) {
  return x < border || y < border || x >= cloud.width - border || y >= cloud.height - border;
}

// Whether most of the border is black and has no point.
bool background_is_removed(const PointCloud& cloud, const Image& rgb) {
  int64_t all = 0, removed = 0;
  for (int64_t y = 0; y < cloud.height; ++y) {
    for (int64_t x = 0; x < cloud.width; ++x) {
      if (!in_border(cloud, x, y)) continue;
      const uint8_t* colour = rgb.at(x, y);
      ++all;
      removed += !is_point(cloud.points[static_cast<size_t>(y * cloud.width + x)]) &&
                 std::all_of(colour, colour + 3, [](uint8_t value) { return value == 0; });
    }
  }
  return 2 * removed > all;
}

using Points = std::vector<Eigen::Vector3d>;

struct Plane {
  Eigen::Vector3d normal = Eigen::Vector3d::Zero();  // of length 1
  double offset = 0;

  double distance(const Eigen::Vector3d& point) const { return std::abs(normal.dot(point) + offset); }
};

Eigen::Vector3d vector_of(const Point3& point) { return {point[0], point[1], point[2]}; }

Points border_points(const PointCloud& cloud, const std::string& name) {
  Points points;
  for (int64_t y = 0; y < cloud.height; ++y) {
    for (int64_t x = 0; x < cloud.width; ++x) {
      const Point3& point = cloud.points[static_cast<size_t>(y * cloud.width + x)];
      if (in_border(cloud, x, y) && is_point(point)) points.push_back(vector_of(point));
    }
  }
  check_input(
      points.size() >= fewest_in_border,
      "{}: the plane under the object is not to be found: of its border of {} pixels only {} have a point",
      name, border, points.size());
  return points;
}

// The one that is nearest to these points.
Plane fitted_plane(const Points& points) {
  Eigen::Vector3d middle = Eigen::Vector3d::Zero();
  for (const Eigen::Vector3d& point : points) middle += point / static_cast<double>(points.size());
  Eigen::Matrix3d spread = Eigen::Matrix3d::Zero();
  for (const Eigen::Vector3d& point : points) spread += (point - middle) * (point - middle).transpose();
  const Eigen::Vector3d normal = Eigen::SelfAdjointEigenSolver<Eigen::Matrix3d>(spread).eigenvectors().col(0);
  return {normal, -normal.dot(middle)};
}

Plane plane_under_object(const Points& points, const std::string& name) {
  Generator generator(0);
  const auto draw = [&] { return points[generator.below(points.size())]; };
  Plane best;
  std::ptrdiff_t most = 0;
  for (int i = 0; i < planes_tried; ++i) {
    const Eigen::Vector3d a = draw(), b = draw(), c = draw();
    const Eigen::Vector3d across = (b - a).cross(c - a);
    if (across.norm() < 1e-12) continue;  // they are on a line
    const Plane plane{across.normalized(), -across.normalized().dot(a)};
    const std::ptrdiff_t count =
        std::count_if(points.begin(), points.end(),
                      [&](const Eigen::Vector3d& point) { return plane.distance(point) < fits_plane; });
    if (count > most) most = count, best = plane;
  }
  check_input(most > 0, "{}: the points of its border are no plane, but one point or line", name);
  Points fitting;
  for (const Eigen::Vector3d& point : points) {
    if (best.distance(point) < fits_plane) fitting.push_back(point);
  }
  return fitted_plane(fitting);
}

void remove_point(PointCloud& cloud, Image& rgb, size_t i) {
  cloud.points[i] = {0, 0, 0};
  std::fill_n(rgb.pixels.begin() + static_cast<std::ptrdiff_t>(3 * i), 3, uint8_t{0});
}

void remove_plane(PointCloud& cloud, Image& rgb, const std::string& name) {
  const Plane plane = plane_under_object(border_points(cloud, name), name);
  for (size_t i = 0; i < cloud.points.size(); ++i) {
    const Point3& point = cloud.points[i];
    if (is_point(point) && plane.distance(vector_of(point)) < on_plane) remove_point(cloud, rgb, i);
  }
}

void keep_largest_cluster(PointCloud& cloud, Image& rgb, const std::string& name) {
  std::vector<size_t> places;
  std::vector<Point3> points;
  for (size_t i = 0; i < cloud.points.size(); ++i) {
    if (is_point(cloud.points[i])) places.push_back(i), points.push_back(cloud.points[i]);
  }
  const std::vector<int32_t> labels = dbscan(points, cluster_radius, cluster_points);
  std::vector<int64_t> sizes;
  for (const int32_t label : labels) {
    if (label < 0) continue;
    sizes.resize(std::max(sizes.size(), static_cast<size_t>(label) + 1));
    ++sizes[static_cast<size_t>(label)];
  }
  check_input(
      !sizes.empty(),
      "{}: there is no object: off the plane nowhere are {} points within {} of each other (x, y and z in "
      "metres?)",
      name, cluster_points, cluster_radius);
  const auto largest = static_cast<int32_t>(std::max_element(sizes.begin(), sizes.end()) - sizes.begin());
  for (size_t i = 0; i < labels.size(); ++i) {
    if (labels[i] != largest) remove_point(cloud, rgb, places[i]);
  }
}

struct Padding {
  int64_t side, x, y;
};
Padding padding_of(int64_t width, int64_t height) {
  const int64_t side = square_side(width, height);
  return {side, (side - width) / 2, (side - height) / 2};
}

DepthMap padded_depth(const PointCloud& cloud) {
  const auto [side, left, above] = padding_of(cloud.width, cloud.height);
  DepthMap depth{side, side, std::vector<float>(static_cast<size_t>(side * side))};
  for (int64_t y = 0; y < cloud.height; ++y) {
    for (int64_t x = 0; x < cloud.width; ++x) {
      const float z = cloud.points[static_cast<size_t>(y * cloud.width + x)][2];
      depth.z[static_cast<size_t>((y + above) * side + x + left)] = std::max(z, 0.0f);
    }
  }
  return depth;
}

void fill_gaps(DepthMap& depth) {
  const DepthMap before = depth;
  for (int64_t y = 0; y < depth.height; ++y) {
    for (int64_t x = 0; x < depth.width; ++x) {
      float& z = depth.z[static_cast<size_t>(y * depth.width + x)];
      if (z > 0) continue;
      double sum = 0;
      int count = 0;
      for (int64_t j = std::max<int64_t>(y - 1, 0); j <= std::min(y + 1, depth.height - 1); ++j) {
        for (int64_t i = std::max<int64_t>(x - 1, 0); i <= std::min(x + 1, depth.width - 1); ++i) {
          const float beside = before.z[static_cast<size_t>(j * depth.width + i)];
          sum += beside, count += beside > 0;
        }
      }
      if (count > 0) z = static_cast<float>(sum / count);
    }
  }
}

}  // namespace

bool is_point_cloud(const fs::path& path) { return floats_per_pixel(path) == 3; }

PointCloud load_point_cloud(const fs::path& path) {
  TiffFile file(path, {.pixels = int64_t{1} << 22});
  const TiffLayout& layout = file.layout();
  check_input(layout.format == SAMPLEFORMAT_IEEEFP && layout.samples == 3 && layout.bits == 32,
              "{}: no point cloud: {} of {} per pixel, not three floats of 32", path.string(),
              counted(layout.samples, "sample"), counted(layout.bits, "bit"));
  PointCloud cloud{layout.width, layout.height, {}};
  for (int64_t y = 0; y < cloud.height; ++y) {
    const uint8_t* row = file.next();
    for (int64_t x = 0; x < cloud.width; ++x) {
      Point3 point;
      std::memcpy(point.data(), row + static_cast<size_t>(x) * sizeof point, sizeof point);
      for (const float value : point)
        check_input(std::abs(value) <= farthest, "{}: the point at ({}, {}) is not finite, or beyond {} m",
                    path.string(), x, y, farthest);
      cloud.points.push_back(point);
    }
  }
  return cloud;
}

DepthScene prepare_scene(PointCloud cloud, Image rgb, const std::string& name) {
  check(rgb.channels == 3, "prepare_scene: an image of {} channels", rgb.channels);
  check_input(cloud.width == rgb.width && cloud.height == rgb.height,
              "{}: the depth is {} x {}, its image {} x {} pixels", name, cloud.width, cloud.height,
              rgb.width, rgb.height);
  if (!background_is_removed(cloud, rgb)) remove_plane(cloud, rgb, name);
  keep_largest_cluster(cloud, rgb, name);
  DepthScene scene{padded_to_square(rgb), padded_depth(cloud)};
  for (int i = 0; i < passes; ++i) fill_gaps(scene.depth);
  return scene;
}

int64_t square_side(int64_t width, int64_t height) {
  constexpr int64_t step = 100;
  return (std::max(width, height) + step - 1) / step * step;
}

Image padded_to_square(const Image& image) {
  const auto [side, left, above] = padding_of(image.width, image.height);
  Image result(side, side, image.channels);
  for (int64_t y = 0; y < image.height; ++y)
    std::copy_n(image.row(y), image.width * image.channels, result.at(left, y + above));
  return result;
}

}  // namespace dinomaly
