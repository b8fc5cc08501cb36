// The EXIF orientation: how an image must be turned to look as it was taken.
#pragma once

#include <filesystem>
#include <string_view>

#include "dinomaly/image/image.h"

namespace dinomaly {

// 1 to 8, tag 274 of EXIF 2.32, in the bytes of a JPEG (APP1), PNG (eXIf) or WebP (EXIF) file that
// check_image_file() has passed; 1, upright, where there is none or it makes no sense. A TIFF's own tag is
// libtiff's to read.
int exif_orientation(const std::filesystem::path& path, std::string_view bytes);

// The image as people see it: of orientation 1 itself, 2 mirrored, 3 turned by 180 degrees, 4 flipped, 5
// transposed, 6 turned by 90 degrees clockwise, 7 transposed along the other diagonal, 8 turned by 90 degrees
// counter-clockwise.
Image turned(Image image, int orientation);

}  // namespace dinomaly
