// What the procedural data set shows, and its defects.
#pragma once

#include <array>
#include <span>
#include <string_view>

#include "dinomaly/synthetic/canvas.h"

namespace dinomaly {

struct Scene {
  std::string_view name;
  std::array<std::string_view, 3> defects;
  // Draws one specimen, normal if `defect` is empty, otherwise with that defect and its mask.
  void (*draw)(Canvas& canvas, Generator& generator, std::string_view defect);
};

void draw_weave(Canvas& canvas, Generator& generator, std::string_view defect);    // cut, hole, stain
void draw_wood(Canvas& canvas, Generator& generator, std::string_view defect);     // burn, paint, scratch
void draw_flange(Canvas& canvas, Generator& generator, std::string_view defect);   // broken, rust, scratch
void draw_capsule(Canvas& canvas, Generator& generator, std::string_view defect);  // crack, crushed, misprint

// All of them, sorted by name.
std::span<const Scene> scenes();

}  // namespace dinomaly
