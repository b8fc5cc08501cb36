// What tells one image from another, whatever file it is in.
#pragma once

#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "dinomaly/image/image.h"
#include "dinomaly/image/picture.h"

namespace dinomaly {

// What image_fingerprint() begins with; file_fingerprint() has no such mark.
inline constexpr std::string_view pixel_mark = "pixels:";

// pixel_mark and the first 16 hexadecimal digits of the SHA-256 of "WIDTH HEIGHT CHANNELS\n" and of the pixels as
// `rules` show them, row after row: the same for a PNG and a BMP of one image. An image that is only read in strips is
// hashed as it lies in its file, its orientation after the channels. Throws InputError as load_picture(), and takes
// images up to strip_limits.
std::string image_fingerprint(const Picture& picture, const PixelRules& rules);
// Of many, on all threads.
std::vector<std::string> image_fingerprints(const std::vector<Picture>& pictures, const PixelRules& rules);

// The first 16 hexadecimal digits of the SHA-256 of a file's bytes: what earlier versions told images by. Throws
// InputError naming a file that cannot be read.
std::string file_fingerprint(const std::filesystem::path& file);

}  // namespace dinomaly
