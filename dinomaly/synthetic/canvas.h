// Drawing tools of the procedural data set: colours, noise, signed distances and a canvas. Coordinates are in
// [-0.5, 0.5], y down, whatever the number of pixels.
#pragma once

#include <algorithm>
#include <cstdint>
#include <vector>

#include "dinomaly/base/framework.h"
#include "dinomaly/image/image.h"
#include "tensor/random.h"

namespace dinomaly {

struct Colour {
  double r = 0, g = 0, b = 0;  // 0 to 1
};

inline Colour operator*(const Colour& a, double s) { return {a.r * s, a.g * s, a.b * s}; }
inline Colour operator+(const Colour& a, double s) { return {a.r + s, a.g + s, a.b + s}; }
inline Colour mix(const Colour& a, const Colour& b, double share) {
  return {a.r + (b.r - a.r) * share, a.g + (b.g - a.g) * share, a.b + (b.b - a.b) * share};
}
// 0 below `low`, 1 above `high`, smooth between.
double smoothstep(double low, double high, double value);

struct Point {
  double x = 0, y = 0;
};

// Signed distances to a shape's outline, negative inside.
double disc(Point p, Point centre, double radius);
double box(Point p, Point centre, double half_width, double half_height, double angle = 0);
// Everything within `radius` of the segment from a to b.
double rod(Point p, Point a, Point b, double radius);

// A part's placement: maps canvas coordinates to its own.
struct Pose {
  double x = 0, y = 0, angle = 0;  // radians
  Point to_part(Point p) const;
};

double uniform(Generator& generator, double low, double high);
// A shift up to `shift` on each axis, a rotation up to `angle` either way.
Pose random_pose(Generator& generator, double shift, double angle);

// Smooth random values in [-1, 1] over the plane: a lattice of random numbers, interpolated;
// repeats every 64.
class Noise {
 public:
  explicit Noise(Generator& generator);
  double at(double x, double y) const;
  // `octaves` layers, each of twice the frequency and half the height; within [-1, 1].
  double fractal(double x, double y, int octaves) const;

 private:
  static constexpr int side = 64;
  std::vector<float> lattice_;
};

class Canvas {
 public:
  explicit Canvas(int64_t size);

  // Replaces every pixel by colour(point).
  template <class ColourAt>
  void fill(ColourAt colour);
  // Covers the pixels where distance(point) < 0 with colour(point, present colour); edges are smoothed
  // over one pixel.
  template <class DistanceAt, class ColourAt>
  void paint(DistanceAt distance, ColourAt colour);

  // The image under varying light (strength, tint, direction, darker corners) and a camera's noise.
  Image photograph(Generator& generator) const;

 private:
  template <class Visit>
  void each(Visit visit);

  int64_t size_;
  std::vector<Colour> pixels_;
};

template <class Visit>
void Canvas::each(Visit visit) {
  const double pitch = 1.0 / static_cast<double>(size_);
  for (int64_t y = 0; y < size_; ++y) {
    for (int64_t x = 0; x < size_; ++x) {
      const Point p{(static_cast<double>(x) + 0.5) * pitch - 0.5,
                    (static_cast<double>(y) + 0.5) * pitch - 0.5};
      visit(p, y * size_ + x);
    }
  }
}

template <class ColourAt>
void Canvas::fill(ColourAt colour) {
  each([&](Point p, int64_t i) { pixels_[i] = colour(p); });
}

template <class DistanceAt, class ColourAt>
void Canvas::paint(DistanceAt distance, ColourAt colour) {
  each([&](Point p, int64_t i) {
    const double cover = std::clamp(0.5 - distance(p) * static_cast<double>(size_), 0.0, 1.0);
    if (cover > 0) pixels_[i] = mix(pixels_[i], colour(p, pixels_[i]), cover);
  });
}

}  // namespace dinomaly
