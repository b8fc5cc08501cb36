// Which files belong to an image that stands in no data set: its depth, its mask, and what else shows the same scene.
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "dinomaly/image/picture.h"

namespace dinomaly {

// Images of a model with depth have companions:
//   ID.png             ID_depth.tiff, .tif or .png beside it
//   rgb/ID.png         also z/ID and xyz/ID with the same endings, as in MVTec 3D-AD, z first; gt/ID is its mask
//   ID_image_4.png     ID_depth, ID_mask and the other renderings, as in Eyecandies
// Endings and names of folders may be in capitals.

// The depth of an image, the first of these that exists.
std::optional<std::filesystem::path> depth_of(const std::filesystem::path& image);

// One line: where depth_of() looks, and what is there that is not read as depth.
std::string missing_depth(const std::filesystem::path& image);

// With its depth, or with what is wrong: missing_depth(). Of an image that is missing itself its reader says so.
Picture picture_with_depth(const std::filesystem::path& image);

enum class CompanionKind { depth, mask, rendering };
struct Companion {
  CompanionKind kind = CompanionKind::depth;
  std::filesystem::path image;  // that it belongs to; without its ending where that is missing
  bool has_image = false;
};
// Whether a file is a mask by its place, for models of any kind: ID_mask beside an image ID; ID.png of one
// channel beside a photograph ID.jpg of three, as in Real-IAD; or in, or up to two folders
// below, a folder ground_truth beside train or test, or a folder ground_truth or masks with the same folders in it as
// beside it (a plain folder's defects).
bool is_mask_by_place(const std::filesystem::path& file);

// What a file is by its name, of any ending; none: an image by itself. A depth without its image is one all the same,
// unless it has a depth of its own.
std::optional<Companion> companion_by_name(const std::filesystem::path& file);

// Those of an image that exist.
std::vector<std::filesystem::path> companions_of(const std::filesystem::path& image);

// move_file() for an image and its companions, which keep their places beside it; an image out of a folder rgb is put
// into one. The number that is added to a name is one that none of them has taken. All of them move or none.
void move_with_companions(const std::filesystem::path& image, const std::filesystem::path& to);

}  // namespace dinomaly
