// What of an image is judged, and in how many pieces. A threshold found with one inspection holds for no other.
#pragma once

#include <string>

#include "dinomaly/image/preprocess.h"
#include "dinomaly/image/region_of_interest.h"
#include "dinomaly/image/tiles.h"

namespace dinomaly {

struct Inspection {
  Tiling tiling = {};
  Area area = Area::whole;    // tiles always cover the whole image
  RegionOfInterest roi = {};  // what of it counts: the model sees the rest, too

  bool operator==(const Inspection&) const = default;
};

// Throws InputError for a tiling that makes no sense and for tiles of a crop.
void validate(const Inspection& inspection);

// The flags that ask for it: "--area whole", "--tile 512 --overlap 128 --roi 10,20,100,80".
std::string flags_of(const Inspection& inspection);

}  // namespace dinomaly
