#include "dinomaly/image/exif.h"

#include <algorithm>
#include <string>

#include "dinomaly/base/framework.h"
#include "dinomaly/image/byte_reader.h"
#include "dinomaly/image/image_format.h"

namespace dinomaly {

namespace {

// The tag in the first directory of an EXIF block, which is a small TIFF file.
int orientation_of(std::string_view block) {
  if (block.starts_with(std::string_view("Exif\0\0", 6))) block.remove_prefix(6);
  if (block.size() < 8) return 1;
  const ByteReader exif("", block);
  const bool little = block.starts_with("II");
  const auto word = [&](size_t at) { return little ? exif.little16(at) : exif.big16(at); };
  const size_t directory = little ? exif.little32(4) : exif.big32(4);
  if (directory + 2 > block.size()) return 1;
  const size_t entries = word(directory);
  for (size_t i = 0; i < entries; ++i) {
    const size_t entry = directory + 2 + 12 * i;
    if (entry + 12 > block.size()) return 1;
    constexpr uint32_t orientation_tag = 274, short_integer = 3, long_integer = 4;
    const uint32_t type = word(entry + 2);
    if (word(entry) != orientation_tag || (type != short_integer && type != long_integer)) continue;
    const uint32_t whole = little ? exif.little32(entry + 8) : exif.big32(entry + 8);
    const uint32_t value = type == long_integer ? whole : word(entry + 8);
    return value >= 1 && value <= 8 ? static_cast<int>(value) : 1;
  }
  return 1;
}

std::string_view exif_of_jpeg(const ByteReader& file) {
  constexpr uint8_t application = 0xE1, scan = 0xDA;
  for (size_t at = 2; at + 4 <= file.size() && file.u8(at) == 0xFF;) {
    const uint8_t marker = file.u8(at + 1);
    if (marker == 0xFF) {  // a fill byte
      ++at;
      continue;
    }
    if (marker == scan) break;
    const size_t length = file.big16(at + 2);
    if (length < 2 || at + 2 + length > file.size()) break;
    const std::string_view data = file.text(at + 4, length - 2);
    if (marker == application && data.starts_with(std::string_view("Exif\0\0", 6))) return data;
    at += 2 + length;
  }
  return {};
}

std::string_view exif_of_png(const ByteReader& file) {
  for (size_t at = 8; at + 12 <= file.size();) {
    const size_t length = file.big32(at);
    if (at + 12 + length > file.size()) break;
    if (file.text(at + 4, 4) == "eXIf") return file.text(at + 8, length);
    at += 12 + length;
  }
  return {};
}

std::string_view exif_of_webp(const ByteReader& file) {
  for (size_t at = 12; at + 8 <= file.size();) {
    const size_t length = file.little32(at + 4);
    if (at + 8 + length > file.size()) break;
    if (file.text(at, 4) == "EXIF") return file.text(at + 8, length);
    at += 8 + length + length % 2;
  }
  return {};
}

}  // namespace

int exif_orientation(const std::filesystem::path& path, std::string_view bytes) {
  const ByteReader file(path, bytes);
  switch (format_of(bytes)) {
    case ImageFormat::jpeg:
      return orientation_of(exif_of_jpeg(file));
    case ImageFormat::png:
      return orientation_of(exif_of_png(file));
    case ImageFormat::webp:
      return orientation_of(exif_of_webp(file));
    default:
      return 1;
  }
}

Image turned(Image image, int orientation) {
  if (orientation <= 1) return image;
  const bool transposed = orientation >= 5;
  const bool from_right = orientation == 2 || orientation == 3 || orientation == 7 || orientation == 8;
  const bool from_bottom = orientation == 3 || orientation == 4 || orientation == 6 || orientation == 7;
  Image result(transposed ? image.height : image.width, transposed ? image.width : image.height,
               image.channels);
  for (int64_t y = 0; y < result.height; ++y) {
    uint8_t* out = result.row(y);
    for (int64_t x = 0; x < result.width; ++x, out += image.channels) {
      const int64_t column = transposed ? y : x, row = transposed ? x : y;
      const uint8_t* from = image.at(from_right ? image.width - 1 - column : column,
                                     from_bottom ? image.height - 1 - row : row);
      std::copy_n(from, image.channels, out);
    }
  }
  return result;
}

}  // namespace dinomaly
