// The two containers whose checksums a mutated input would never have right.
#include <zlib.h>

#include <cstring>

#include "tests/dinomaly/torch_writer.h"
#include "tests/fuzz/targets.h"

namespace dinomaly::fuzz {

namespace {

uint32_t checksum(std::string_view bytes) {
  return static_cast<uint32_t>(crc32_z(0, reinterpret_cast<const Bytef*>(bytes.data()), bytes.size()));
}

uint32_t big32_at(const std::string& bytes, size_t at) {
  uint32_t value;
  std::memcpy(&value, bytes.data() + at, sizeof value);
  return __builtin_bswap32(value);
}

}  // namespace

std::string torch_file_of(std::string_view pickle) {
  ZipEntries entries{{"archive/data.pkl", std::string(pickle)}};
  for (const char key : {'0', '1', '2', '3'}) {
    std::string storage;
    while (storage.size() < 256) storage += key;
    entries.emplace_back(std::string("archive/data/") + key, storage);
  }
  return stored_zip(entries);
}

std::string with_right_checksums(std::string_view png) {
  std::string bytes(png);
  if (!bytes.starts_with("\x89PNG\r\n\x1a\n")) return bytes;
  for (size_t at = 8; at + 12 <= bytes.size();) {
    const uint64_t length = big32_at(bytes, at);
    if (at + 12 + length > bytes.size()) break;
    const uint32_t sum = __builtin_bswap32(checksum(std::string_view(bytes).substr(at + 4, 4 + length)));
    std::memcpy(bytes.data() + at + 8 + length, &sum, sizeof sum);
    at += 12 + length;
  }
  return bytes;
}

}  // namespace dinomaly::fuzz
