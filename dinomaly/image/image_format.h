// Checks that an image file is whole, because the decoder silently fills what is missing with grey.
#pragma once

#include <filesystem>
#include <string_view>

namespace dinomaly {

// Throws InputError naming `path` unless `bytes` are a PNG with sound critical chunks up to IEND, a JPEG of 1
// or 3 components up to its EOI marker, or a BMP holding all of its rows. What follows the end is ignored.
void check_image_file(const std::filesystem::path& path, std::string_view bytes);

}  // namespace dinomaly
