#include <cmath>
#include <numbers>

#include "dinomaly/synthetic/defects.h"
#include "dinomaly/synthetic/scenes.h"

namespace dinomaly {

namespace {

using std::numbers::pi;

// --- The flange: a turned steel ring on a grey belt, with six bolts.
constexpr double flange_radius = 0.39, bore_radius = 0.12, bolt_circle = 0.255, hole_radius = 0.05;

// Hexagonal heads in the holes of the flange. The first may be absent, or stick out askew.
struct Bolts {
  double first = 0;      // where the first hole is, radians
  double turns[6] = {};  // of the heads, radians
  bool first_missing = false;
  Point askew;  // the first head's place, from its hole's centre

  Point hole(int bolt) const {
    const double angle = first + bolt * pi / 3;
    return {bolt_circle * std::cos(angle), bolt_circle * std::sin(angle)};
  }
  double holes(Point p) const {
    double distance = 1;
    for (int bolt = 0; bolt < 6; ++bolt) distance = std::min(distance, disc(p, hole(bolt), hole_radius));
    return distance;
  }
  double heads(Point p) const {
    double distance = 1;
    for (int bolt = first_missing ? 1 : 0; bolt < 6; ++bolt) {
      Point centre = hole(bolt);
      if (bolt == 0) centre.x += askew.x, centre.y += askew.y;
      double hexagon = -1;
      for (int side = 0; side < 3; ++side)
        hexagon = std::max(hexagon, box(p, centre, 0.036, 1, turns[bolt] + side * pi / 3));
      distance = std::min(distance, hexagon);
    }
    return distance;
  }
};

double flange_distance(Point p, const Bolts& bolts) {
  return std::max({disc(p, {}, flange_radius), -disc(p, {}, bore_radius), -bolts.holes(p)});
}

// Turning on a lathe leaves fine rings, so the reflection of a lamp fans out to both sides; the
// edges are chamfered.
Colour steel_colour(Point p, double distance, double light_angle, const Noise& noise) {
  const double radius = disc(p, {}, 0), angle = std::atan2(p.y, p.x);
  const double fan = std::pow(std::abs(std::cos(angle - light_angle)), 6);
  const double rings = noise.at(220 * radius, 7) + 0.5 * noise.at(90 * radius, 23);
  const double chamfer = smoothstep(-0.014, -0.006, distance);
  const double tone = 0.52 + 0.24 * fan + 0.018 * rings + 0.14 * chamfer * std::cos(angle + 2.2);
  return Colour{0.96, 0.99, 1.04} * tone;
}

void draw_flange_body(Canvas& canvas, const Pose& pose, const Bolts& bolts, double light_angle,
                      const Noise& noise) {
  const auto outline = [&](Point q) { return flange_distance(q, bolts); };
  canvas.fill([&](Point p) { return Colour{0.30, 0.32, 0.33} + 0.006 * noise.at(9 * p.x, 9 * p.y); });
  const auto shadow = [&](Point p) { return outline(pose.to_part({p.x - 0.012, p.y - 0.016})); };
  canvas.paint(shadow, [](Point, Colour below) { return below * 0.55; });
  canvas.paint([&](Point p) { return outline(pose.to_part(p)); },
               [&](Point p, Colour) {
                 const Point q = pose.to_part(p);
                 return steel_colour(q, outline(q), light_angle, noise);
               });
  canvas.paint([&](Point p) { return bolts.holes(pose.to_part(p)); },
               [](Point, Colour) {
                 return Colour{0.11, 0.11, 0.12};
               });
  canvas.paint([&](Point p) { return bolts.heads(pose.to_part(p)); },
               [&](Point p, Colour) {
                 const double edge = smoothstep(-0.010, -0.004, bolts.heads(pose.to_part(p)));
                 return Colour{0.80, 0.68, 0.42} * (0.92 - 0.3 * edge);
               });
}

// --- The capsule: two half shells, a print on the right one, lying on a green plate.
constexpr double capsule_radius = 0.20, capsule_reach = 0.24;

double capsule_distance(Point p) { return rod(p, {-capsule_reach, 0}, {capsule_reach, 0}, capsule_radius); }

Colour shell_colour(Point p) {
  constexpr Colour left{0.74, 0.17, 0.13}, right{0.90, 0.86, 0.74};
  const double across = p.y / capsule_radius;
  const double roundness = std::sqrt(std::max(0.0, 1 - across * across));
  const double highlight =
      smoothstep(0.10, 0.0, std::abs(across + 0.45)) * smoothstep(0.36, 0.25, std::abs(p.x));
  const double joint = 1 - 0.3 * smoothstep(0.008, 0.0, std::abs(p.x + 0.02));
  const Colour base = (p.x < -0.02 ? left : right) * ((0.50 + 0.50 * roundness) * joint);
  return mix(base, {1, 1, 1}, 0.45 * highlight);
}

// Which of the seven segments of a digit are lit: top, upper right, lower right, bottom, lower left,
// upper left, middle.
constexpr int segments_of_5 = 0b1101101, segments_of_0 = 0b0111111;

double digit_distance(Point p, int segments) {
  constexpr double w = 0.026, h = 0.045, thick = 0.0085;
  constexpr Point ends[7][2] = {{{-w, -h}, {w, -h}}, {{w, -h}, {w, 0}},   {{w, 0}, {w, h}}, {{w, h}, {-w, h}},
                                {{-w, h}, {-w, 0}},  {{-w, 0}, {-w, -h}}, {{-w, 0}, {w, 0}}};
  double distance = 1;
  for (int i = 0; i < 7; ++i) {
    if (segments >> i & 1) distance = std::min(distance, rod(p, ends[i][0], ends[i][1], thick));
  }
  return distance;
}

// The print "50" around the origin.
double print_distance(Point p) {
  return std::min(digit_distance({p.x + 0.047, p.y}, segments_of_5),
                  digit_distance({p.x - 0.047, p.y}, segments_of_0));
}

constexpr Point print_place{0.15, 0.02};

void draw_print(Canvas& canvas, const Pose& pose, const Pose& print) {
  const auto strokes = [&](Point p) {
    const Point q = pose.to_part(p);
    return std::max(print_distance(print.to_part(q)), capsule_distance(q));
  };
  canvas.paint(strokes, [](Point, Colour) { return Colour{0.13, 0.13, 0.17}; });
}

void draw_capsule_body(Canvas& canvas, const Pose& pose, const Noise& noise) {
  canvas.fill([&](Point p) { return Colour{0.24, 0.36, 0.35} + 0.004 * noise.at(9 * p.x, 9 * p.y); });
  const auto shadow = [&](Point p) {
    return capsule_distance(pose.to_part({p.x - 0.01, p.y - 0.022})) - 0.006;
  };
  canvas.paint(shadow, [](Point, Colour below) { return below * 0.5; });
  canvas.paint([&](Point p) { return capsule_distance(pose.to_part(p)); },
               [&](Point p, Colour) { return shell_colour(pose.to_part(p)); });
}

}  // namespace

void draw_flange(Canvas& canvas, Generator& generator, Defect defect) {
  const Noise noise(generator);
  const Pose pose = random_pose(generator, 0.012, 0.035);
  const double light_angle = uniform(generator, 0.7, 0.9);
  Bolts bolts;
  for (double& turn : bolts.turns) turn = uniform(generator, 0, pi / 3);
  bolts.first = static_cast<double>(generator.below(6)) * pi / 3;
  const double where = uniform(generator, -pi, pi), size = uniform(generator, 0.0, 1.0);
  const Point on_face{0.22 * std::cos(where), 0.22 * std::sin(where)};
  if (defect == Defect::missing_part) bolts.first_missing = true;
  if (defect == Defect::structural) bolts.askew = {0.055 * std::cos(where), 0.055 * std::sin(where)};
  draw_flange_body(canvas, pose, bolts, light_angle, noise);
  const auto on_steel = [&](auto shape) {
    return [&pose, &bolts, shape](Point p) {
      const Point q = pose.to_part(p);
      return std::max(shape(q), flange_distance(q, bolts));
    };
  };
  const auto patch = on_steel(blob(on_face, 0.11 + 0.03 * size, noise, 0.3));
  if (defect == Defect::low_contrast) {  // a film of oil
    paint_faint(canvas, patch, 0.15);
  } else if (defect == Defect::colour) {  // tempered by heat
    paint_hue(canvas, patch, {0.50, 0.40, 0.20}, 0.7);
  } else if (defect == Defect::small) {  // a pit, between two bolts and clear of them
    const double angle = bolts.first + pi / 6 + (where < 0 ? -0.1 : 0.1), radius = 0.19 + 0.14 * size;
    const Point place{radius * std::cos(angle), radius * std::sin(angle)};
    canvas.paint(on_steel(blob(place, 0.020, noise, 0.2)), [](Point, Colour below) { return below * 0.2; });
  }
}

void draw_capsule(Canvas& canvas, Generator& generator, Defect defect) {
  const Noise noise(generator);
  const Pose pose = random_pose(generator, 0.012, 0.035);
  const double side = generator.below(2) == 0 ? -1 : 1, size = uniform(generator, 0.0, 1.0);
  const Point place{side * uniform(generator, 0.12, 0.28), uniform(generator, -0.07, 0.07)};
  draw_capsule_body(canvas, pose, noise);
  draw_print(canvas, pose, {print_place.x, print_place.y, 0});
  const auto on_shell = [&](auto shape) {
    return [&pose, shape](Point p) {
      const Point q = pose.to_part(p);
      return std::max(shape(q), capsule_distance(q));
    };
  };
  const auto patch = on_shell(blob(place, 0.11 + 0.03 * size, noise, 0.3));
  if (defect == Defect::low_contrast) {
    paint_faint(canvas, patch, 0.15);
  } else if (defect == Defect::colour) {
    paint_hue(canvas, patch, {0.42, 0.50, 0.32}, 0.7);
  } else if (defect == Defect::small) {  // a grain of the filling
    const Point beside_print{place.x, place.y < 0 ? -0.10 : 0.13};
    canvas.paint(on_shell(blob(beside_print, 0.020, noise, 0.2)), [](Point, Colour) {
      return Colour{0.08, 0.20, 0.52};
    });
  } else if (defect == Defect::missing_part) {  // a piece of the shell, and one looks inside
    canvas.paint(on_shell(blob(place, 0.060 + 0.015 * size, noise, 0.4)), [&](Point p, Colour) {
      return Colour{0.12, 0.07, 0.05} + 0.02 * noise.at(60 * p.x, 60 * p.y);
    });
  } else if (defect == Defect::structural) {  // printed twice, the second time askew
    draw_print(canvas, pose, {print_place.x - 0.02, print_place.y, side * (0.6 + 0.4 * size)});
  }
}

}  // namespace dinomaly
