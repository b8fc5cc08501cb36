#include <cmath>
#include <numbers>

#include "dinomaly/synthetic/defects.h"
#include "dinomaly/synthetic/scenes.h"

namespace dinomaly {

namespace {

using std::numbers::pi;

Point random_place(Generator& generator, double reach) {
  return {uniform(generator, -reach, reach), uniform(generator, -reach, reach)};
}

// --- The weave: a dark warp and a light weft. At every crossing one thread lies above, alternately.
constexpr double threads = 15;  // across the picture

// In threads: which column and row of crossings a point belongs to, and where in it, from -0.5 to 0.5.
struct Crossing {
  double u, v, column, row, across_x, across_y;
};

Crossing crossing_at(Point p) {
  const double u = (p.x + 1) * threads, v = (p.y + 1) * threads;
  const double column = std::floor(u), row = std::floor(v);
  return {u, v, column, row, u - column - 0.5, v - row - 0.5};
}

// Where the weave is faulty, in columns and rows of crossings.
struct WeaveFault {
  Defect defect = Defect::none;
  double column = 0, row = 0, length = 0;
  bool within(double at, double from) const { return at >= from && at < from + length; }
};

// The thread that lies above, round, and diving under its neighbours; a thread that floats does not dive.
Colour thread_colour(const Crossing& at, bool warp, bool floats, const Noise& noise) {
  constexpr Colour warp_colour{0.25, 0.35, 0.47}, weft_colour{0.79, 0.75, 0.66};
  const double across = warp ? at.across_x : at.across_y, along = warp ? at.across_y : at.across_x;
  const double dive = floats ? 1 : 0.7 + 0.3 * std::cos(pi * along);
  const double shade = (0.45 + 0.55 * std::cos(0.85 * pi * across)) * dive;
  const double fibre = warp ? noise.at(9 * at.u, 1.2 * at.v) : noise.at(1.2 * at.u, 9 * at.v);
  const double dye = noise.at(31 * (warp ? at.column : at.row), warp ? 3 : 11);
  return (warp ? warp_colour : weft_colour) * (shade * (1 + 0.07 * fibre + 0.03 * dye));
}

// structural: a warp thread floats over several weft threads. missing_part: a piece of a weft thread is absent, and
// one looks through the gap between warp threads that lie side by side.
Colour weave_colour(Point p, const WeaveFault& fault, const Noise& noise) {
  const Crossing at = crossing_at(p);
  const bool warp_above = std::fmod(at.column + at.row, 2) == 0;
  if (fault.defect == Defect::structural && at.column == fault.column && fault.within(at.row, fault.row))
    return thread_colour(at, true, true, noise);
  if (fault.defect == Defect::missing_part && at.row == fault.row && fault.within(at.column, fault.column)) {
    if (std::abs(at.across_x) > 0.3) return {0.06, 0.06, 0.07};
    return thread_colour(at, true, true, noise);
  }
  return thread_colour(at, warp_above, false, noise);
}

// --- The wood: boards with the grain along x: rings cut lengthwise, pores as short dark strokes, joints between the boards.
constexpr double boards = 3;

Colour grain_colour(Point p, double board, const Noise& noise) {
  constexpr Colour early{0.80, 0.62, 0.42}, late{0.64, 0.44, 0.26};
  const double bend = 0.5 * noise.fractal(1.3 * p.x + 9 * board, 2.5 * p.y, 2);
  const double ring = 0.5 + 0.5 * std::sin(2 * pi * (10 * p.y + bend + 0.37 * board));
  const double pore = noise.at(14 * p.x + 5 * board, 150 * p.y);
  return mix(early, late, 0.55 * ring) * (1 + 0.05 * std::sin(2.1 * board) + 0.05 * pore);
}

Colour wood_colour(Point p, const Noise& noise) {
  const double v = (p.y + 0.5) * boards, board = std::floor(v), across = v - board;
  const double joint = smoothstep(0.0, 0.03, std::min(across, 1 - across));
  return grain_colour(p, board, noise) * (0.45 + 0.55 * joint);
}

}  // namespace

void draw_weave(Canvas& canvas, Generator& generator, Defect defect) {
  const Noise noise(generator);
  const Pose pose = random_pose(generator, 0.012, 0.025);
  const Point place = random_place(generator, 0.28);
  const double size = uniform(generator, 0.0, 1.0);
  const Crossing here = crossing_at(place);
  WeaveFault fault{defect, here.column, here.row, 5 + std::floor(2.99 * size)};
  (defect == Defect::structural ? fault.row : fault.column) -= 3;
  canvas.fill([&](Point p) { return weave_colour(pose.to_part(p), fault, noise); });
  const auto patch = blob(place, 0.10 + 0.04 * size, noise, 0.3);
  if (defect == Defect::low_contrast) {
    paint_faint(canvas, patch, 0.15);
  } else if (defect == Defect::colour) {
    paint_hue(canvas, patch, {0.62, 0.30, 0.22}, 0.6);
  } else if (defect == Defect::small) {  // a knot
    canvas.paint(blob(place, 0.020, noise, 0.2), [&](Point p, Colour) {
      return Colour{0.60, 0.16, 0.12} * (0.8 + 0.2 * noise.at(150 * p.x, 150 * p.y));
    });
  }
}

void draw_wood(Canvas& canvas, Generator& generator, Defect defect) {
  const Noise noise(generator);
  const Pose pose = random_pose(generator, 0.012, 0.02);
  canvas.fill([&](Point p) { return wood_colour(pose.to_part(p), noise); });
  const Point place = random_place(generator, 0.28);
  const double size = uniform(generator, 0.0, 1.0);
  const auto patch = blob(place, 0.10 + 0.04 * size, noise, 0.3);
  if (defect == Defect::low_contrast) {
    paint_faint(canvas, patch, 0.15);
  } else if (defect == Defect::colour) {  // blue stain, a fungus
    paint_hue(canvas, patch, {0.40, 0.52, 0.50}, 0.8);
  } else if (defect == Defect::small) {  // a worm's hole
    canvas.paint(blob(place, 0.020, noise, 0.2), [](Point, Colour) { return Colour{0.10, 0.06, 0.04}; });
  } else if (defect == Defect::structural) {  // a plug that was glued in with its grain across the board
    const Pose across{place.x, place.y, pi / 2};
    const auto plug = [&](Point p) { return disc(p, place, 0.075 + 0.02 * size); };
    canvas.paint(plug, [&](Point p, Colour) {
      const double glue = smoothstep(-0.008, -0.004, plug(p));
      return grain_colour(across.to_part(p), 0, noise) * (0.92 - 0.25 * glue);
    });
  } else if (defect == Defect::missing_part) {  // a splinter has broken off along a joint
    const double joint = place.y < 0 ? -0.5 + 1 / boards : 0.5 - 1 / boards;
    const auto splinter = [&](Point p) {
      const Point q = pose.to_part(p);
      const double ragged = 0.012 * noise.fractal(25 * q.x + 40, 25 * q.y + 40, 3);
      return box(q, {place.x, joint}, 0.10 + 0.04 * size, 0.028) + ragged;
    };
    canvas.paint(splinter, [&](Point p, Colour) {
      return Colour{0.14, 0.09, 0.06} + 0.03 * noise.at(30 * p.x, 200 * p.y);
    });
  }
}

}  // namespace dinomaly
