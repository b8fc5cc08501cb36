#include <cmath>
#include <numbers>

#include "dinomaly/synthetic/scenes.h"

namespace dinomaly {

namespace {

using std::numbers::pi;

Point random_place(Generator& generator, double reach) {
  return {uniform(generator, -reach, reach), uniform(generator, -reach, reach)};
}

// A disc with an uneven outline.
auto blob(Point centre, double radius, const Noise& noise, double unevenness) {
  return [=, &noise](Point p) {
    return disc(p, centre, radius) + unevenness * radius * noise.fractal(9 * p.x + 40, 9 * p.y + 40, 3);
  };
}

// A bar with rough sides.
auto rough_bar(Point centre, double half_length, double half_width, double angle, const Noise& noise) {
  return [=, &noise](Point p) {
    return box(p, centre, half_length, half_width, angle) + 0.3 * half_width * noise.at(70 * p.x, 70 * p.y);
  };
}

// Plain weave of a dark warp and a light weft: at every crossing one thread lies above, alternately.
Colour weave_colour(Point p, const Noise& noise) {
  constexpr double threads = 15;
  constexpr Colour warp{0.25, 0.35, 0.47}, weft{0.79, 0.75, 0.66};
  const double u = (p.x + 1) * threads, v = (p.y + 1) * threads;
  const double column = std::floor(u), row = std::floor(v);
  const double across_x = u - column - 0.5, across_y = v - row - 0.5;
  const bool warp_above = std::fmod(column + row, 2) == 0;
  const double across = warp_above ? across_x : across_y, along = warp_above ? across_y : across_x;
  // Threads are round, and dive under their neighbours.
  const double shade = (0.45 + 0.55 * std::cos(0.85 * pi * across)) * (0.7 + 0.3 * std::cos(pi * along));
  const double fibre = warp_above ? noise.at(9 * u, 1.2 * v) : noise.at(1.2 * u, 9 * v);
  const double dye = noise.at(31 * (warp_above ? column : row), warp_above ? 3 : 11);
  return (warp_above ? warp : weft) * (shade * (1 + 0.07 * fibre + 0.03 * dye));
}

// Boards with the grain along x: rings cut lengthwise, pores as short dark strokes, joints
// between the boards.
Colour wood_colour(Point p, const Noise& noise) {
  constexpr Colour early{0.80, 0.62, 0.42}, late{0.64, 0.44, 0.26};
  constexpr double boards = 3;
  const double v = (p.y + 0.5) * boards, board = std::floor(v), across = v - board;
  const double bend = 0.5 * noise.fractal(1.3 * p.x + 9 * board, 2.5 * p.y, 2);
  const double ring = 0.5 + 0.5 * std::sin(2 * pi * (10 * p.y + bend + 0.37 * board));
  const double pore = noise.at(14 * p.x + 5 * board, 150 * p.y);
  const double joint = smoothstep(0.0, 0.03, std::min(across, 1 - across));
  const double tone = 1 + 0.05 * std::sin(2.1 * board) + 0.05 * pore;
  return mix(early, late, 0.55 * ring) * (tone * (0.45 + 0.55 * joint));
}

}  // namespace

void draw_weave(Canvas& canvas, Generator& generator, std::string_view defect) {
  const Noise noise(generator);
  const Pose pose = random_pose(generator, 0.006, 0.015);
  canvas.fill([&](Point p) { return weave_colour(pose.to_part(p), noise); });
  const Point place = random_place(generator, 0.24);
  const double size = uniform(generator, 0.0, 1.0), angle = uniform(generator, 0.3, pi - 0.3);
  if (defect == "cut") {
    const auto slit = rough_bar(place, 0.20 + 0.06 * size, 0.030 + 0.008 * size, angle, noise);
    const auto frayed = [&](Point p) { return slit(p) - 0.012 * (1 + noise.at(60 * p.x, 60 * p.y)); };
    canvas.paint_defect(frayed, [](Point, Colour below) { return mix(below, {0.93, 0.90, 0.82}, 0.8); });
    canvas.paint(slit, [](Point, Colour) { return Colour{0.06, 0.06, 0.07}; });
  } else if (defect == "hole") {
    const auto hole = blob(place, 0.085 + 0.03 * size, noise, 0.25);
    const auto rim = [&](Point p) { return hole(p) - 0.018; };
    canvas.paint_defect(rim, [](Point, Colour below) { return below * 0.45; });
    canvas.paint(hole, [&](Point p, Colour) {
      return Colour{0.05, 0.05, 0.06} + 0.02 * noise.at(30 * p.x, 30 * p.y);
    });
  } else if (defect == "stain") {
    const auto edge = blob(place, 0.12 + 0.03 * size, noise, 0.35);
    canvas.paint_defect(edge, [&](Point p, Colour below) {
      const double depth = 0.75 + 0.25 * smoothstep(-0.03, 0.0, edge(p));  // darkest where it dried last
      const Colour soaked{0.62 * below.r + 0.06, 0.30 * below.g + 0.03, 0.12 * below.b};
      return mix(below, soaked, depth);
    });
  }
}

void draw_wood(Canvas& canvas, Generator& generator, std::string_view defect) {
  const Noise noise(generator);
  const Pose pose = random_pose(generator, 0.008, 0.01);
  canvas.fill([&](Point p) { return wood_colour(pose.to_part(p), noise); });
  const Point place = random_place(generator, 0.24);
  const double size = uniform(generator, 0.0, 1.0), angle = uniform(generator, 0.5, pi - 0.5);
  if (defect == "burn") {
    const auto edge = blob(place, 0.11 + 0.03 * size, noise, 0.3);
    canvas.paint_defect(edge, [&](Point p, Colour below) {
      const double depth = 1 - 0.5 * smoothstep(-0.06, 0.0, edge(p));
      return mix(below, {0.09, 0.06, 0.05}, depth);
    });
  } else if (defect == "paint") {
    const Point drop{place.x + 0.12 * std::cos(angle), place.y + 0.12 * std::sin(angle)};
    const auto main = blob(place, 0.09 + 0.03 * size, noise, 0.25), small = blob(drop, 0.045, noise, 0.25);
    const auto edge = [&](Point p) { return std::min(main(p), small(p)); };
    canvas.paint_defect(edge, [&](Point p, Colour) {
      const double gloss = 0.10 * smoothstep(-0.05, 0.0, edge(p)) + 0.05 * noise.at(12 * p.x, 12 * p.y);
      return Colour{0.10, 0.42, 0.52} + gloss;
    });
  } else if (defect == "scratch") {
    const auto groove = rough_bar(place, 0.24 + 0.06 * size, 0.022 + 0.006 * size, angle, noise);
    canvas.paint_defect(groove, [&](Point p, Colour) {
      return Colour{0.95, 0.89, 0.76} * (0.88 + 0.12 * noise.at(90 * p.x, 90 * p.y));
    });
    const auto shadow = rough_bar({place.x, place.y + 0.006}, 0.22 + 0.06 * size, 0.006, angle, noise);
    canvas.paint(shadow, [](Point, Colour below) { return below * 0.35; });
  }
}

}  // namespace dinomaly
