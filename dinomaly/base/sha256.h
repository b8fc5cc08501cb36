// SHA-256, by libcrypto.
#pragma once

#include <cstddef>
#include <memory>
#include <string>
#include <string_view>

struct SHA256state_st;

namespace dinomaly {

class Sha256 {
 public:
  Sha256();
  ~Sha256();
  void update(const void* bytes, size_t count);
  void update(std::string_view text) { update(text.data(), text.size()); }
  std::string hex();  // ends it

 private:
  std::unique_ptr<SHA256state_st> context_;
};

inline std::string sha256_of(std::string_view text) {
  Sha256 hash;
  hash.update(text);
  return hash.hex();
}

}  // namespace dinomaly
