#include <cmath>
#include <numbers>

#include "dinomaly/synthetic/scenes.h"

namespace dinomaly {

namespace {

using std::numbers::pi;

// --- The flange: a turned steel ring with six bolt holes on a grey belt.
constexpr double flange_radius = 0.38, bore_radius = 0.12, bolt_circle = 0.25, bolt_radius = 0.042;

double flange_distance(Point p) {
  double distance = std::max(disc(p, {}, flange_radius), -disc(p, {}, bore_radius));
  for (int bolt = 0; bolt < 6; ++bolt) {
    const Point centre{bolt_circle * std::cos(bolt * pi / 3), bolt_circle * std::sin(bolt * pi / 3)};
    distance = std::max(distance, -disc(p, centre, bolt_radius));
  }
  return distance;
}

// Turning on a lathe leaves fine rings, so the reflection of a lamp fans out to both sides; the
// edges are chamfered.
Colour steel_colour(Point p, double distance, double light_angle, const Noise& noise) {
  const double radius = disc(p, {}, 0), angle = std::atan2(p.y, p.x);
  const double fan = std::pow(std::abs(std::cos(angle - light_angle)), 6);
  const double rings = noise.at(220 * radius, 7) + 0.5 * noise.at(90 * radius, 23);
  const double chamfer = smoothstep(-0.014, -0.006, distance);
  const double tone = 0.52 + 0.24 * fan + 0.025 * rings + 0.14 * chamfer * std::cos(angle + 2.2);
  return Colour{0.96, 0.99, 1.04} * tone;
}

// --- The capsule: two half shells, a print on the right one, lying on dark felt.
constexpr double capsule_radius = 0.17, capsule_reach = 0.25;

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

constexpr Colour ink{0.13, 0.13, 0.17};
constexpr Point print_place{0.15, 0.02};

// The filling of a capsule: blue granules.
Colour filling(Point p, const Noise& noise) {
  return mix({0.05, 0.30, 0.62}, {0.25, 0.62, 0.90}, 0.5 + 0.5 * noise.at(55 * p.x + 40, 55 * p.y + 40));
}

// A crack runs around the shell in a zigzag, wide enough to see the filling.
double crack_distance(Point p, double x, const Noise& noise) {
  const double wander = 0.05 * noise.at(3, 14 * p.y + 20) + 0.02 * noise.at(9, 45 * p.y + 20);
  return std::max(std::abs(p.x - x - wander) - 0.032 - 0.006 * noise.at(31, 25 * p.y + 20),
                  capsule_distance(p));
}

// The end of a crushed capsule is broken off along a ragged line at x = `cut`, on the side of sign(cut):
// negative beyond that line.
double broken_off(Point p, double cut, const Noise& noise) {
  const double side = cut < 0 ? -1 : 1;
  return std::abs(cut) + 0.02 * noise.fractal(5, 14 * p.y + 20, 2) - side * p.x;
}

// The old print is smeared and a second one lies across it.
void draw_misprint(Canvas& canvas, Generator& generator, const Pose& pose, const Noise& noise) {
  const double angle = (generator.below(2) == 0 ? 1 : -1) * uniform(generator, 0.5, 0.9);
  const Pose slipped{print_place.x + uniform(generator, -0.05, 0.0), print_place.y, angle};
  const auto smear = [&](Point p) {
    const Point q = pose.to_part(p);
    const double streaks = 0.02 * noise.at(8 * q.x + 20, 60 * q.y + 20);
    return rod(q, {0.08, print_place.y}, {0.23, print_place.y}, 0.065) + streaks;
  };
  const auto second = [&](Point p) { return print_distance(slipped.to_part(pose.to_part(p))) - 0.006; };
  canvas.paint_defect(smear, [](Point, Colour below) { return mix(below, {0.10, 0.62, 0.30}, 0.8); });
  canvas.paint_defect(second, [](Point, Colour) { return ink; });
}

// "rust": a ragged patch around `place`; "scratch": a groove through the plating, down to the copper. Both
// only on the steel.
void spoil_face(Canvas& canvas, Generator& generator, std::string_view defect, const Pose& pose, Point place,
                const Noise& noise) {
  const double size = uniform(generator, 0.0, 1.0);
  if (defect == "rust") {
    const auto edge = [&](Point p) {
      const Point q = pose.to_part(p);
      const double ragged = 0.05 * noise.fractal(13 * q.x + 40, 13 * q.y + 40, 4);
      return std::max(disc(q, place, 0.12 + 0.03 * size) + ragged, flange_distance(q));
    };
    canvas.paint_defect(edge, [&](Point p, Colour below) {
      const double patch = 0.5 + 0.5 * noise.fractal(30 * p.x, 30 * p.y, 3);
      return mix(below * 0.4, mix({0.38, 0.17, 0.07}, {0.66, 0.34, 0.13}, patch), 0.85);
    });
  } else if (defect == "scratch") {
    const double angle = std::atan2(place.y, place.x) + uniform(generator, -0.9, 0.9);
    const auto groove = [&](Point p) {
      const Point q = pose.to_part(p);
      const double rough = 0.008 * noise.at(22 * q.x + 20, 22 * q.y + 20);
      return std::max(box(q, place, 0.15 + 0.04 * size, 0.024, angle) + rough, flange_distance(q));
    };
    canvas.paint_defect(groove, [&](Point p, Colour) {
      return Colour{0.62, 0.30, 0.12} + 0.06 * noise.at(50 * p.x, 50 * p.y);
    });
  }
}

}  // namespace

void draw_flange(Canvas& canvas, Generator& generator, std::string_view defect) {
  const Noise noise(generator);
  const Pose pose = random_pose(generator, 0.006, 0.03);
  const double light_angle = uniform(generator, 0.75, 0.85);
  const double where = uniform(generator, -pi, pi), size = uniform(generator, 0.0, 1.0);
  const Point on_rim{0.39 * std::cos(where), 0.39 * std::sin(where)};
  const Point on_face{0.26 * std::cos(where), 0.26 * std::sin(where)};
  // "broken": a bite out of the rim. It belongs to the outline, so its shadow is right too.
  const auto bite = [&](Point q) {
    return disc(q, on_rim, 0.13 + 0.03 * size) + 0.03 * noise.fractal(14 * q.x + 40, 14 * q.y + 40, 2);
  };
  const auto outline = [&](Point q) {
    return defect == "broken" ? std::max(flange_distance(q), -bite(q)) : flange_distance(q);
  };
  canvas.fill([&](Point p) {
    return Colour{0.30, 0.32, 0.33} + 0.012 * noise.fractal(25 * p.x, 25 * p.y, 3);
  });
  canvas.paint(
      [&](Point p) {
        return outline(pose.to_part({p.x - 0.012, p.y - 0.016}));
      },
      [](Point, Colour below) { return below * 0.55; });
  canvas.paint([&](Point p) { return outline(pose.to_part(p)); },
               [&](Point p, Colour) {
                 const Point q = pose.to_part(p);
                 return steel_colour(q, outline(q), light_angle, noise);
               });
  if (defect == "broken") {
    canvas.mark([&](Point p) { return std::max(flange_distance(pose.to_part(p)), bite(pose.to_part(p))); });
    // The heat of the fracture has tinted the steel around it.
    const auto tinted = [&](Point p) {
      const Point q = pose.to_part(p);
      return std::max(bite(q) - 0.045, outline(q));
    };
    canvas.paint_defect(tinted, [](Point, Colour below) { return mix(below, {0.32, 0.16, 0.62}, 0.65); });
  } else if (!defect.empty()) {
    spoil_face(canvas, generator, defect, pose, on_face, noise);
  }
}

void draw_capsule(Canvas& canvas, Generator& generator, std::string_view defect) {
  const Noise noise(generator);
  const Pose pose = random_pose(generator, 0.006, 0.025);
  const double side = generator.below(2) == 0 ? -1 : 1, size = uniform(generator, 0.0, 1.0);
  const double crack_x = side < 0 ? uniform(generator, -0.24, -0.12) : uniform(generator, 0.06, 0.26);
  const double cut = side * (0.27 - 0.04 * size);
  const auto missing = [&](Point q) { return broken_off(q, cut, noise); };
  const auto outline = [&](Point q) {
    return defect == "crushed" ? std::max(capsule_distance(q), -missing(q)) : capsule_distance(q);
  };
  canvas.fill([&](Point p) {
    return Colour{0.16, 0.25, 0.24} + 0.02 * noise.at(70 * p.x, 70 * p.y) +
           0.012 * noise.at(31 * p.x, 31 * p.y);
  });
  canvas.paint(
      [&](Point p) {
        return outline(pose.to_part({p.x - 0.01, p.y - 0.022})) - 0.006;
      },
      [](Point, Colour below) { return below * 0.5; });
  canvas.paint([&](Point p) { return outline(pose.to_part(p)); },
               [&](Point p, Colour) { return shell_colour(pose.to_part(p)); });
  const Pose print{print_place.x, print_place.y, 0};
  canvas.paint(
      [&](Point p) {
        const Point q = pose.to_part(p);
        return std::max(print_distance(print.to_part(q)), outline(q));
      },
      [](Point, Colour) { return ink; });
  if (defect == "crack") {
    const auto gap = [&](Point p) { return crack_distance(pose.to_part(p), crack_x, noise); };
    canvas.paint_defect(gap, [&](Point p, Colour) { return filling(p, noise); });
  } else if (defect == "crushed") {
    canvas.mark([&](Point p) {
      const Point q = pose.to_part(p);
      return std::max(missing(q), capsule_distance(q));
    });
    // Part of the filling has spilled where the end was.
    const auto spilled = [&](Point p) {
      const Point q = pose.to_part(p);
      const double ragged = 0.03 * noise.fractal(18 * q.x + 40, 18 * q.y + 40, 3);
      return std::max(disc(q, {side * 0.33, 0.03}, 0.085) + ragged, missing(q));
    };
    canvas.paint_defect(spilled, [&](Point p, Colour) { return filling(p, noise); });
  } else if (defect == "misprint") {
    draw_misprint(canvas, generator, pose, noise);
  }
}

}  // namespace dinomaly
