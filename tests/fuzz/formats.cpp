// The two containers whose checksums a mutated input would never have right.
#include <zlib.h>

#include <cstring>

#include "tests/fuzz/targets.h"

namespace dinomaly::fuzz {

namespace {

uint32_t checksum(std::string_view bytes) {
  return static_cast<uint32_t>(crc32_z(0, reinterpret_cast<const Bytef*>(bytes.data()), bytes.size()));
}

template <class T>
void append(std::string& out, T value) {  // little endian, as zip has it
  out.append(reinterpret_cast<const char*>(&value), sizeof value);
}

// What a local header and the entry of the central directory have in common.
void append_entry_fields(std::string& out, std::string_view name, std::string_view bytes) {
  append<uint16_t>(out, 20), append<uint16_t>(out, 0), append<uint16_t>(out, 0);  // version, flags, stored
  append<uint32_t>(out, 0), append<uint32_t>(out, checksum(bytes));               // time, checksum
  append(out, static_cast<uint32_t>(bytes.size())), append(out, static_cast<uint32_t>(bytes.size()));
  append(out, static_cast<uint16_t>(name.size())), append<uint16_t>(out, 0);
}

std::string stored_zip(const std::map<std::string, std::string>& entries) {
  std::string file, directory;
  for (const auto& [name, bytes] : entries) {
    const auto begin = static_cast<uint32_t>(file.size());
    file += "PK\x03\x04";
    append_entry_fields(file, name, bytes);
    file += name + bytes;
    directory += "PK\x01\x02";
    append<uint16_t>(directory, 20);
    append_entry_fields(directory, name, bytes);
    append<uint16_t>(directory, 0), append<uint16_t>(directory, 0), append<uint16_t>(directory, 0);
    append<uint32_t>(directory, 0), append(directory, begin);
    directory += name;
  }
  const auto begin = static_cast<uint32_t>(file.size());
  const auto count = static_cast<uint16_t>(entries.size());
  file += directory + "PK\x05\x06";
  append<uint32_t>(file, 0), append(file, count), append(file, count);
  append(file, static_cast<uint32_t>(directory.size())), append(file, begin), append<uint16_t>(file, 0);
  return file;
}

uint32_t big32(const std::string& bytes, size_t at) {
  uint32_t value;
  std::memcpy(&value, bytes.data() + at, sizeof value);
  return __builtin_bswap32(value);
}

}  // namespace

std::string torch_file_of(std::string_view pickle) {
  std::map<std::string, std::string> entries{{"archive/data.pkl", std::string(pickle)}};
  for (const char key : {'0', '1', '2', '3'}) {
    std::string storage;
    while (storage.size() < 256) storage += key;
    entries[std::string("archive/data/") + key] = storage;
  }
  return stored_zip(entries);
}

std::string with_right_checksums(std::string_view png) {
  std::string bytes(png);
  if (!bytes.starts_with("\x89PNG\r\n\x1a\n")) return bytes;
  for (size_t at = 8; at + 12 <= bytes.size();) {
    const uint64_t length = big32(bytes, at);
    if (at + 12 + length > bytes.size()) break;
    const uint32_t sum = __builtin_bswap32(checksum(std::string_view(bytes).substr(at + 4, 4 + length)));
    std::memcpy(bytes.data() + at + 8 + length, &sum, sizeof sum);
    at += 12 + length;
  }
  return bytes;
}

}  // namespace dinomaly::fuzz
