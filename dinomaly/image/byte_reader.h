// The bytes of a file from outside: every read is checked.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>

#include "dinomaly/base/framework.h"
#include "tensor/error.h"

namespace dinomaly {

// Unsigned numbers at given places; reading past the end is the InputError "cut short", which names the file.
class ByteReader {
 public:
  ByteReader(const std::filesystem::path& path, std::string_view bytes)
      : name_(path.string()), bytes_(bytes) {}

  const std::string& name() const { return name_; }
  size_t size() const { return bytes_.size(); }
  std::string_view bytes() const { return bytes_; }
  void need(size_t end) const { check_input(end <= size(), "{}: the image is cut short", name_); }
  uint8_t u8(size_t at) const {
    need(at + 1);
    return static_cast<uint8_t>(bytes_[at]);
  }
  uint32_t big16(size_t at) const { return uint32_t{u8(at)} << 8 | u8(at + 1); }
  uint32_t big32(size_t at) const { return big16(at) << 16 | big16(at + 2); }
  uint32_t little16(size_t at) const { return uint32_t{u8(at + 1)} << 8 | u8(at); }
  uint32_t little32(size_t at) const { return little16(at + 2) << 16 | little16(at); }
  std::string_view text(size_t at, size_t length) const {
    need(at + length);
    return bytes_.substr(at, length);
  }

 private:
  std::string name_;
  std::string_view bytes_;
};

}  // namespace dinomaly
