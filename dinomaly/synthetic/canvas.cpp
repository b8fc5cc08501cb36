#include "dinomaly/synthetic/canvas.h"

#include <cmath>
#include <numbers>

namespace dinomaly {

namespace {

// Roughly normal with deviation 1: the sum of four uniform numbers, all from one block.
double quick_normal(uint64_t seed, uint64_t counter) {
  const Philox4 block = philox(seed, counter);
  double sum = -2;
  for (uint32_t word : block.word) sum += uniform_from(word);
  return sum * std::numbers::sqrt3;
}

uint8_t byte_of_unit(double value) { return static_cast<uint8_t>(std::clamp(value, 0.0, 1.0) * 255 + 0.5); }

Point rotated(Point p, double angle) {
  const double c = std::cos(angle), s = std::sin(angle);
  return {c * p.x + s * p.y, c * p.y - s * p.x};
}

}  // namespace

double smoothstep(double low, double high, double value) {
  const double t = std::clamp((value - low) / (high - low), 0.0, 1.0);
  return t * t * (3 - 2 * t);
}

double disc(Point p, Point centre, double radius) {
  const double x = p.x - centre.x, y = p.y - centre.y;
  return std::sqrt(x * x + y * y) - radius;
}

double box(Point p, Point centre, double half_width, double half_height, double angle) {
  const Point q = rotated({p.x - centre.x, p.y - centre.y}, angle);
  const double x = std::abs(q.x) - half_width, y = std::abs(q.y) - half_height;
  const double outside_x = std::max(x, 0.0), outside_y = std::max(y, 0.0);
  return std::sqrt(outside_x * outside_x + outside_y * outside_y) + std::min(std::max(x, y), 0.0);
}

double rod(Point p, Point a, Point b, double radius) {
  const double dx = b.x - a.x, dy = b.y - a.y, px = p.x - a.x, py = p.y - a.y;
  const double t = std::clamp((px * dx + py * dy) / (dx * dx + dy * dy), 0.0, 1.0);
  return disc(p, {a.x + t * dx, a.y + t * dy}, radius);
}

Point Pose::to_part(Point p) const { return rotated({p.x - x, p.y - y}, angle); }

double uniform(Generator& generator, double low, double high) {
  return low + (high - low) * generator.uniform();
}

Pose random_pose(Generator& generator, double shift, double angle) {
  Pose pose;
  pose.x = uniform(generator, -shift, shift);
  pose.y = uniform(generator, -shift, shift);
  pose.angle = uniform(generator, -angle, angle);
  return pose;
}

Noise::Noise(Generator& generator) : lattice_(side * side) {
  for (float& value : lattice_) value = 2 * uniform_from(generator.next_word()) - 1;
}

double Noise::at(double x, double y) const {
  const double floor_x = std::floor(x), floor_y = std::floor(y);
  const auto x0 = static_cast<uint64_t>(static_cast<int64_t>(floor_x)) % side, x1 = (x0 + 1) % side;
  const auto y0 = static_cast<uint64_t>(static_cast<int64_t>(floor_y)) % side, y1 = (y0 + 1) % side;
  const double fx = smoothstep(0, 1, x - floor_x), fy = smoothstep(0, 1, y - floor_y);
  const double top = lattice_[y0 * side + x0] * (1 - fx) + lattice_[y0 * side + x1] * fx;
  const double bottom = lattice_[y1 * side + x0] * (1 - fx) + lattice_[y1 * side + x1] * fx;
  return top * (1 - fy) + bottom * fy;
}

double Noise::fractal(double x, double y, int octaves) const {
  double sum = 0, height = 1, total = 0;
  for (int octave = 0; octave < octaves; ++octave) {
    sum += height * at(x, y);
    total += height;
    height *= 0.5;
    // The shift keeps the lattice lines of the layers apart.
    x = 2 * x + 17.3;
    y = 2 * y + 5.7;
  }
  return sum / total;
}

Canvas::Canvas(int64_t size) : size_(size), pixels_(static_cast<size_t>(size * size)) {}

Image Canvas::photograph(Generator& generator) const {
  const double exposure = uniform(generator, 0.96, 1.04);
  const double slope_x = uniform(generator, -0.04, 0.04), slope_y = uniform(generator, -0.04, 0.04);
  const double warmth = uniform(generator, -0.012, 0.012);
  const double noise = uniform(generator, 0.002, 0.004);
  const uint64_t first = generator.reserve(4 * pixels_.size());
  constexpr double corners = 0.18;
  Image image(size_, size_, 3);
  for (int64_t i = 0; i < size_ * size_; ++i) {
    const double x = (static_cast<double>(i % size_) + 0.5) / static_cast<double>(size_) - 0.5;
    const double y = (static_cast<double>(i / size_) + 0.5) / static_cast<double>(size_) - 0.5;
    const double light = exposure * (1 + slope_x * x + slope_y * y - corners * (x * x + y * y));
    const double grain = noise * quick_normal(generator.seed(), first + static_cast<uint64_t>(i));
    const Colour seen = pixels_[i] * light;
    image.pixels[3 * i] = byte_of_unit(seen.r * (1 + warmth) + grain);
    image.pixels[3 * i + 1] = byte_of_unit(seen.g + grain);
    image.pixels[3 * i + 2] = byte_of_unit(seen.b * (1 - warmth) + grain);
  }
  return image;
}

}  // namespace dinomaly
