// PNG files that the program itself would never write, for tests of what it reads.
#pragma once

#include <cstdint>
#include <string>

namespace dinomaly {

inline std::string big32(uint32_t value) {
  std::string bytes;
  for (int shift = 24; shift >= 0; shift -= 8) bytes += static_cast<char>(value >> shift);
  return bytes;
}

inline uint32_t crc32(const std::string& bytes) {
  uint32_t crc = 0xFFFFFFFFu;
  for (char byte : bytes) {
    crc ^= static_cast<uint8_t>(byte);
    for (int bit = 0; bit < 8; ++bit) crc = (crc >> 1) ^ ((crc & 1) ? 0xEDB88320u : 0u);
  }
  return ~crc;
}

inline std::string chunk(const std::string& type, const std::string& data) {
  return big32(static_cast<uint32_t>(data.size())) + type + data + big32(crc32(type + data));
}

// A PNG of any depth and colour type, whose rows (filter byte included) are stored without compression.
inline std::string png(uint32_t width, uint32_t height, char depth, char colour_type, const std::string& rows,
                       const std::string& palette = "") {
  uint32_t a = 1, b = 0;
  for (char byte : rows) {
    a = (a + static_cast<uint8_t>(byte)) % 65521;
    b = (b + a) % 65521;
  }
  const auto low = static_cast<char>(rows.size()), high = static_cast<char>(rows.size() >> 8);
  const std::string block = {
      '\x78', '\x01', '\x01', low, high, static_cast<char>(~low), static_cast<char>(~high)};
  std::string file = "\x89PNG\r\n\x1a\n";
  file += chunk("IHDR", big32(width) + big32(height) + depth + colour_type + std::string(3, '\0'));
  if (!palette.empty()) file += chunk("PLTE", palette);
  return file + chunk("IDAT", block + rows + big32(b << 16 | a)) + chunk("IEND", "");
}

// The same file, its rows being the seven passes of Adam7 instead.
inline std::string interlaced(std::string png) {
  constexpr size_t name = 12, flag = 28;  // of IHDR, and its last byte
  png[flag] = 1;
  return png.replace(flag + 1, 4, big32(crc32(png.substr(name, 17))));
}

}  // namespace dinomaly
