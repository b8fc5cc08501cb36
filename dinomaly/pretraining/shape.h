// Outlines that occlude what is behind them, with continuous parameters, and where several of one kind stand.
#pragma once

#include <functional>
#include <vector>

#include "dinomaly/base/framework.h"
#include "dinomaly/synthetic/canvas.h"
#include "tensor/random.h"

namespace dinomaly {

// A shape around the origin: the signed distance to its outline (negative inside; near the outline about true), and
// a radius beyond which there is nothing of it. May be called by several threads.
struct Outline {
  std::function<double(Point)> distance;
  double reach = 0;
};

// A disc, rounded box, rod, ring, polygon, star, gear or blob of about `radius`.
Outline draw_outline(double radius, Generator& generator);

// One pose, or several: a lattice, a ring, or scattered. `radius`: of what will stand there.
std::vector<Pose> draw_poses(double radius, Generator& generator);

}  // namespace dinomaly
