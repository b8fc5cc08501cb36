// What the procedural data set shows, and its defects.
#pragma once

#include <array>
#include <span>
#include <string_view>

#include "dinomaly/synthetic/canvas.h"

namespace dinomaly {

enum class Defect { none, colour, low_contrast, missing_part, small, structural };

// Those of every category, and the folders of their images.
struct NamedDefect {
  Defect kind;
  std::string_view name;
};
constexpr std::array<NamedDefect, 5> all_defects{{{Defect::colour, "colour"},
                                                  {Defect::low_contrast, "low_contrast"},
                                                  {Defect::missing_part, "missing_part"},
                                                  {Defect::small, "small"},
                                                  {Defect::structural, "structural"}}};

// Draws one specimen. From equal generators it is the same specimen in the same place, whatever its defect.
using Draw = void (*)(Canvas& canvas, Generator& generator, Defect defect);

void draw_capsule(Canvas& canvas, Generator& generator, Defect defect);
void draw_flange(Canvas& canvas, Generator& generator, Defect defect);
void draw_weave(Canvas& canvas, Generator& generator, Defect defect);
void draw_wood(Canvas& canvas, Generator& generator, Defect defect);

struct Scene {
  std::string_view name;
  Draw draw;
};

// All of them, sorted by name.
std::span<const Scene> scenes();

struct Specimen {
  Image image;
  Image mask;  // one channel: 255 where the defect has changed the image, 0 elsewhere
};

// The specimen that (seed, stream) determine, `size` pixels a side. It is photographed twice, with the defect
// and without, and what differs is the mask. 2^32 blocks of random numbers belong to it.
Specimen draw_specimen(const Scene& scene, int64_t size, uint64_t seed, uint64_t stream, Defect defect);

}  // namespace dinomaly
