// 8-bit images, read from the usual kinds of files and written as PNG.
#pragma once

#include <algorithm>
#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <vector>

namespace dinomaly {

// An image has at most so many channels.
inline constexpr int64_t most_channels = 16;

// Rows from the top, channels interleaved: 1 (grey), 3 (RGB) or what else a camera sees.
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

// How the pixels of a file become 8-bit channels. A model stores the rules it was trained with.
struct PixelRules {
  // Images are turned as people see them, by their EXIF orientation. false: pixels as the file stores them.
  bool exif_orientation = true;
  // Of samples of 16 bits whose range the file does not state, so many are used, 8 to 16: the eight highest of
  // them are kept, larger values become 255. 0: not known yet, read as 16.
  int64_t bit_depth = 0;
  // 3: RGB, grey repeated and an alpha dropped. 1: grey, of colours their luma. 2 and 4 to 16: every sample of a
  // pixel, an alpha too, of files that have so many. 0, of options alone: those of the encoder.
  int64_t channels = 3;

  // The same, with colours where grey is asked for: whether an image has any is not seen of its grey.
  PixelRules in_colour() const {
    PixelRules rules = *this;
    if (channels == 1) rules.channels = 3;
    return rules;
  }
  bool operator==(const PixelRules&) const = default;
};

// A channel's value, limited to 0 to 255 and rounded.
inline uint8_t to_byte(double value) { return static_cast<uint8_t>(std::clamp(value, 0.0, 255.0) + 0.5); }

// Whether the channels of RGB pixels differ nowhere by more than compression makes them.
bool is_grey(std::span<const uint8_t> rgb);

// A PNG, JPEG, TIFF, WebP, BMP or PNM file, recognised by its first bytes, not by its name, as PIL's
// convert("RGB") gives it: grey repeated, palettes resolved, alpha dropped (the colour under it counts); deeper
// samples and the orientation by `rules`. Throws InputError naming the file and what is wrong with it: no such
// file, another format, several pages or an animation, cut short, damaged, CMYK, samples that are no brightness
// (floating-point, signed, 32 bits), wider or higher than 32768, more than 2^26 pixels.
Image load_image_rgb(const std::filesystem::path& path, const PixelRules& rules = {});

// The same, or an array of NumPy (height, width, channels) of 8 or 16 bits, with rules.channels channels. Throws
// InputError also where 2 or 4 to 16 are asked for and the file has another number of samples per pixel, naming both.
Image load_image(const std::filesystem::path& path, const PixelRules& rules);

// RGB -> 1 channel: the luma of ITU-R BT.601, rounded as PIL's convert("L").
Image in_grey(const Image& rgb);

// The mask of an anomalous image of width x height: 255 where it is defective, else 0. What is not zero is
// defective, whatever the depth and the encoding (1 to 64 bits, integer or floating-point):
//   colours: what is not black
//   a palette: every index but 0; where entry 0 is not black but another entry in use is, what is not black
//   alpha: what is transparent is good; where all that is visible is black but some is transparent, the alpha
//     alone says what is defective
// Its own EXIF orientation is applied, unless only the mask as stored has the image's size. Throws InputError
// as load_image_rgb(), where the size differs, since then it cannot be known which pixels it means, and where
// nothing is defective. As many pixels as an image may have that is read in strips (strip_limits) are taken where the
// image is as large.
Image load_mask(const std::filesystem::path& path, int64_t width, int64_t height);
// The same of no image: as large as it is, turned by its own EXIF orientation, and it may be empty.
Image load_mask(const std::filesystem::path& path);
// Whether a mask, of any size, says that anything is defective. Throws InputError for a file that is none.
bool marks_anything(const std::filesystem::path& path);

std::string encode_png(const Image& image);
// quality from 1 to 100. No transparency, no metadata.
std::string encode_jpeg(const Image& image, int quality);
// Writes encode_png() to a file, whole or not at all. Throws InputError naming the file if it
// cannot be written.
void save_png(const std::filesystem::path& path, const Image& image);
// The same, marked as a result of the program (result_mark.h).
void save_result_png(const std::filesystem::path& path, const Image& image);

}  // namespace dinomaly
