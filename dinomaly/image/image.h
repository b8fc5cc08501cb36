// 8-bit images, read from PNG, JPEG and BMP files and written as PNG.
#pragma once

#include <algorithm>
#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

namespace dinomaly {

// Rows from the top, channels interleaved: 1 (grey) or 3 (RGB).
struct Image {
  int64_t width = 0, height = 0, channels = 0;
  std::vector<uint8_t> pixels;  // height * width * channels

  Image() = default;
  Image(int64_t width, int64_t height, int64_t channels)
      : width(width),
        height(height),
        channels(channels),
        pixels(static_cast<size_t>(width * height * channels)) {}

  uint8_t* row(int64_t y) { return pixels.data() + y * width * channels; }
  const uint8_t* row(int64_t y) const { return pixels.data() + y * width * channels; }
  uint8_t* at(int64_t x, int64_t y) { return row(y) + x * channels; }
  const uint8_t* at(int64_t x, int64_t y) const { return row(y) + x * channels; }
  bool operator==(const Image&) const = default;
};

// How the pixels of a file become 8-bit colours. A model stores the rules it was trained with.
struct PixelRules {
  // Images are turned as people see them, by their EXIF orientation. false: pixels as the file stores them.
  bool exif_orientation = true;
  // Of samples of 16 bits whose range the file does not state, so many are used, 8 to 16: the eight highest of
  // them are kept, larger values become 255. 0: not known yet, read as 16.
  int64_t bit_depth = 0;

  bool operator==(const PixelRules&) const = default;
};

// A channel's value, limited to 0 to 255 and rounded.
inline uint8_t to_byte(double value) { return static_cast<uint8_t>(std::clamp(value, 0.0, 255.0) + 0.5); }

// What PIL's convert("RGB") gives: grey repeated, alpha dropped, palettes resolved; of 16 bits the high byte.
// The file type is recognised by its first bytes, not by its name. Throws InputError naming the file and what
// is wrong with it: no such file, another format, cut short, damaged, CMYK, wider or higher than 32768, more
// than 2^26 pixels.
Image load_image_rgb(const std::filesystem::path& path);

// One channel, as PIL's convert("L"): (19595 R + 38470 G + 7471 B + 32768) >> 16. Same errors.
Image load_grey(const std::filesystem::path& path);

// The mask of an image of width x height. Also throws InputError if its size differs, since then it cannot be
// known which pixels it means.
Image load_mask(const std::filesystem::path& path, int64_t width, int64_t height);

std::string encode_png(const Image& image);
// quality from 1 to 100. No transparency, no metadata.
std::string encode_jpeg(const Image& image, int quality);
// Writes encode_png() to a file, whole or not at all. Throws InputError naming the file if it
// cannot be written.
void save_png(const std::filesystem::path& path, const Image& image);

}  // namespace dinomaly
