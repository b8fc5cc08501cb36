// Which format an image file has, by its bytes, and whether the file is whole: decoders silently fill what is
// missing with grey.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>

#include "dinomaly/image/byte_reader.h"

namespace dinomaly {

enum class ImageFormat { unknown, png, jpeg, bmp, tiff, webp, pnm, npy };

// By the first bytes of a file, 256 of them where it has so many, whatever its name. An array of NumPy is an image only
// where its header says so (npy_format.h).
ImageFormat format_of(std::string_view bytes);

// The name of an image format that is not read ("GIF", "HEIF or AVIF", "camera raw"), by the first bytes of a
// file or by its extension; empty for anything else. A few raw formats look like TIFF: their extension counts.
std::string foreign_format(std::string_view bytes, const std::filesystem::path& path);

// Throws InputError naming `path` and what is wrong unless `bytes` are a whole image of a format that is read:
// a PNG with sound critical chunks up to IEND, a JPEG as of jpeg_format.h, a BMP, PNM, WebP or NPY with all of its
// pixels, a TIFF with its first directory. What follows the end is ignored. Animations are refused: which of
// their pictures is meant is not known.
void check_image_file(const std::filesystem::path& path, std::string_view bytes);

inline constexpr int64_t largest_side = 1 << 20;  // that any file may have
inline bool is_side(int64_t pixels) { return pixels >= 1 && pixels <= largest_side; }
// Throws InputError unless both are sides.
void check_sides(const ByteReader& file, int64_t width, int64_t height);

// The header of a PGM, PPM or PBM, P1 to P6.
struct PnmHeader {
  int64_t width = 0, height = 0, channels = 1;
  int64_t largest = 1;  // the value of white
  bool binary = true, bitmap = false;
  size_t pixels = 0;  // where they begin
};
PnmHeader read_pnm_header(const ByteReader& file);

// The header of a BMP.
struct BmpHeader {
  int64_t width = 0, height = 0;
  bool from_top = false;
  int64_t bits = 0, padded_row = 0;  // bytes
  size_t pixels = 0;                 // where they begin
  size_t palette = 0,
         colours = 0;  // the palette's place and size; entries of `entry` bytes: blue, green, red
  size_t entry = 4;
};
BmpHeader read_bmp_header(const ByteReader& file);

}  // namespace dinomaly
