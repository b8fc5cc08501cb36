// The readers behind open_pixels(), one per format.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>

#include "dinomaly/image/pixel_rows.h"

namespace dinomaly {

struct TiffSource;  // tiff_file.h

// A file in memory that check_image_file() has passed.
struct ImageFile {
  std::filesystem::path path;
  std::string bytes;
  ReadLimits limits;

  // Throws InputError naming the file if so many pixels are more than the limits.
  void check_size(int64_t width, int64_t height) const;
};

// For the end of a message that grey or RGB is expected: what takes as many channels as there are; empty for more than
// images may have.
std::string hint_for_channels(int64_t found);

std::unique_ptr<PixelRows> open_png(ImageFile file);   // by libpng, row by row unless it is interlaced
std::unique_ptr<PixelRows> open_jpeg(ImageFile file);  // by libjpeg-turbo, row by row
std::unique_ptr<PixelRows> open_bmp(ImageFile file);   // with a palette row by row, otherwise by stb_image
std::unique_ptr<PixelRows> open_webp(ImageFile file);  // by libwebp, as a whole
std::unique_ptr<PixelRows> open_pnm(ImageFile file);   // row by row
// An array (height, width, channels) of 8 or 16 bits, row by row. Of Samples::colours: of 1 or 3 channels.
std::unique_ptr<PixelRows> open_npy(ImageFile file, Samples samples);
// Of Samples::all: where the file has several pages of one brightness, alike in size and type, they are the channels.
std::unique_ptr<PixelRows> open_tiff(const TiffSource& source, const ReadLimits& limits, Samples samples);

}  // namespace dinomaly
