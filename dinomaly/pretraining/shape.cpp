#include "dinomaly/pretraining/shape.h"

#include <cmath>
#include <memory>
#include <numbers>

namespace dinomaly {

namespace {

constexpr double whole_turn = 2 * std::numbers::pi;

double length_of(Point p) { return std::sqrt(p.x * p.x + p.y * p.y); }

Outline rounded_box(double radius, Generator& generator) {
  const double width = radius * uniform(generator, 0.3, 1), height = radius * uniform(generator, 0.3, 1);
  const double corner = std::min(width, height) * uniform(generator, 0, 0.9);
  return {[=](Point p) { return box(p, {0, 0}, width - corner, height - corner) - corner; }, radius * 1.5};
}

Outline ring_outline(double radius, Generator& generator) {
  const double width = radius * uniform(generator, 0.08, 0.4);
  return {[=](Point p) { return std::abs(length_of(p) - radius + width) - width; }, radius * 1.1};
}

Outline rod_outline(double radius, Generator& generator) {
  const double width = radius * uniform(generator, 0.06, 0.4), half = radius - width;
  return {[=](Point p) { return rod(p, {-half, 0}, {half, 0}, width); }, radius * 1.1};
}

// A circle whose radius waves with the angle: polygons, stars, gears and flowers, by how sharp the waves are.
Outline wavy_outline(double radius, Generator& generator) {
  const double waves = 3 + static_cast<double>(generator.below(14)), depth = uniform(generator, 0.05, 0.4);
  const double sharpness = uniform(generator, 0.5, 6);
  return {[=](Point p) {
            const double wave =
                std::tanh(sharpness * std::cos(waves * std::atan2(p.y, p.x))) / std::tanh(sharpness);
            return length_of(p) - radius * (1 - depth * 0.5 * (1 - wave));
          },
          radius * 1.1};
}

Outline polygon(double radius, Generator& generator) {
  const double corners = 3 + static_cast<double>(generator.below(6)),
               inner = std::cos(std::numbers::pi / corners);
  return {[=](Point p) {
            const double sector = whole_turn / corners, angle = std::atan2(p.y, p.x);
            const double from_middle = angle - sector * std::round(angle / sector);
            return length_of(p) * std::cos(from_middle) - radius * inner;
          },
          radius * 1.1};
}

Outline blob(double radius, Generator& generator) {
  const auto noise = std::make_shared<const Noise>(generator);
  const double roughness = radius * uniform(generator, 0.2, 0.8),
               frequency = uniform(generator, 1, 3) / radius;
  return {[=](Point p) {
            return length_of(p) - 0.8 * radius +
                   roughness * noise->fractal(frequency * p.x, frequency * p.y, 2);
          },
          radius * 1.7};
}

}  // namespace

Outline draw_outline(double radius, Generator& generator) {
  switch (generator.below(7)) {
    case 0:
      return {[radius](Point p) { return disc(p, {0, 0}, radius); }, radius * 1.1};
    case 1:
      return rounded_box(radius, generator);
    case 2:
      return ring_outline(radius, generator);
    case 3:
      return rod_outline(radius, generator);
    case 4:
      return wavy_outline(radius, generator);
    case 5:
      return polygon(radius, generator);
    default:
      return blob(radius, generator);
  }
}

std::vector<Pose> draw_poses(double radius, Generator& generator) {
  const Point centre{uniform(generator, -0.4, 0.4), uniform(generator, -0.4, 0.4)};
  const double angle = uniform(generator, 0, whole_turn);
  const uint64_t kind = generator.below(4);
  std::vector<Pose> poses;
  if (kind == 0) {  // a lattice
    const double pitch = radius * uniform(generator, 2.1, 3.5);
    const auto half = std::min<int64_t>(4, static_cast<int64_t>(0.6 / pitch));
    for (int64_t y = -half; y <= half; ++y) {
      for (int64_t x = -half; x <= half; ++x) {
        const Point p =
            Pose{0, 0, -angle}.to_part({pitch * static_cast<double>(x), pitch * static_cast<double>(y)});
        poses.push_back({p.x, p.y, angle});
      }
    }
  } else if (kind == 1) {  // a ring around the centre
    const auto count = 3 + static_cast<int64_t>(generator.below(9));
    const double distance =
        std::max(radius * static_cast<double>(count) * 0.4, radius * uniform(generator, 1.2, 3));
    for (int64_t i = 0; i < count; ++i) {
      const double turn = angle + whole_turn * static_cast<double>(i) / static_cast<double>(count);
      poses.push_back({centre.x + distance * std::cos(turn), centre.y + distance * std::sin(turn), turn});
    }
  } else if (kind == 2) {  // scattered
    const auto count = 2 + static_cast<int64_t>(generator.below(10));
    for (int64_t i = 0; i < count; ++i) poses.push_back(random_pose(generator, 0.5, whole_turn));
  } else {
    poses.push_back({centre.x, centre.y, angle});
  }
  return poses;
}

}  // namespace dinomaly
