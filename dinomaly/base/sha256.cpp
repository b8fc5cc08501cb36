#include "dinomaly/base/sha256.h"

// The functions of SHA-256 itself, which OpenSSL 3 calls deprecated: what takes their place finds its algorithms at run time,
// and a program that is linked with libcrypto.a (the wheel of Python) would hold all of them, some megabytes.
#define OPENSSL_SUPPRESS_DEPRECATED
#include <fmt/format.h>
#include <openssl/sha.h>

#include <array>

#include "dinomaly/base/framework.h"

namespace dinomaly {

Sha256::Sha256() : context_(std::make_unique<SHA256_CTX>()) { SHA256_Init(context_.get()); }

Sha256::~Sha256() = default;

void Sha256::update(const void* bytes, size_t count) { SHA256_Update(context_.get(), bytes, count); }

std::string Sha256::hex() {
  std::array<unsigned char, SHA256_DIGEST_LENGTH> digest{};
  SHA256_Final(digest.data(), context_.get());
  return fmt::format("{:02x}", fmt::join(digest, ""));
}

}  // namespace dinomaly
