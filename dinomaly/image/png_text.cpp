#include "dinomaly/image/png_text.h"

#include <zlib.h>

#include "dinomaly/base/framework.h"
#include "tensor/error.h"

namespace dinomaly {

namespace {

std::string big_endian(uint32_t value) {
  std::string bytes;
  for (const int shift : {24, 16, 8, 0}) bytes += static_cast<char>(value >> shift & 255);
  return bytes;
}

}  // namespace

// A chunk: length of the data, name, data, CRC of name and data.
std::string png_text_chunk(const std::string& keyword, const std::string& text) {
  check(!keyword.empty() && keyword.size() < 80, "png text: a keyword of {} characters", keyword.size());
  const std::string named = "tEXt" + keyword + '\0' + text;
  const uLong crc = crc32(0, reinterpret_cast<const Bytef*>(named.data()), static_cast<uInt>(named.size()));
  return big_endian(static_cast<uint32_t>(named.size() - 4)) + named + big_endian(static_cast<uint32_t>(crc));
}

std::string with_png_text(std::string png, const std::string& keyword, const std::string& text) {
  constexpr size_t signature = 8, header = 4 + 4 + 13 + 4;
  check(png.size() > signature + header, "png text: {} bytes are no PNG", png.size());
  return png.insert(signature + header, png_text_chunk(keyword, text));
}

}  // namespace dinomaly
