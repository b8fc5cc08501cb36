// A small data set in MVTec AD's layout, drawn by the program itself: two textures (weave, wood) and two objects
// (flange, capsule). Good specimens vary in position, rotation, material, light, tint and noise. Each category has
// defects of five kinds, and their masks are exactly the pixels that they changed:
//   colour        a patch of another hue, as bright as the surface around it
//   low_contrast  a patch 15 % darker than the surface
//   missing_part  a bolt, a piece of a capsule's shell or of a thread, a splinter of a board
//   small         a knot, a hole, a pit or a grain of about 1/25 of the image's width
//   structural    a part in the wrong place, twice or turned: a bolt, a print, a thread that floats, a plug
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <string>
#include <vector>

namespace dinomaly {

struct ProceduralOptions {
  uint64_t seed = 1;
  int64_t size = 256;                   // pixels per side
  int64_t train = 60;                   // normal training images per category
  int64_t good = 8;                     // normal test images per category
  int64_t per_defect = 4;               // anomalous test images for each of the five defects
  std::vector<std::string> categories;  // empty: all
};

// capsule, flange, weave, wood.
std::vector<std::string> procedural_categories();

enum class Drawing { done, kept, stopped };

// Makes the data set at `root`, for read_mvtec(). It is drawn under a temporary name and renamed when
// complete. What image n of a category shows depends only on the seed. A data set made earlier with the same
// options is kept if none of its files is missing, and one made with other options is replaced; its file dataset.json
// records them. Throws InputError if `root` is anything else or holds a file that was not drawn, for unknown categories and
// for options out of range. `stopped` is asked before each image, in any thread; once it is true, nothing is drawn, and
// `root` stays as it was.
Drawing make_dataset(const std::filesystem::path& root, const ProceduralOptions& options = {},
                     const std::function<bool()>& stopped = nullptr);

}  // namespace dinomaly
