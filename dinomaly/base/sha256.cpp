#include "dinomaly/base/sha256.h"

#include <fmt/format.h>
#include <openssl/evp.h>

#include <array>

#include "dinomaly/base/framework.h"
#include "tensor/error.h"

namespace dinomaly {

Sha256::Sha256() : context_(EVP_MD_CTX_new()) {
  check(context_ != nullptr && EVP_DigestInit_ex(context_, EVP_sha256(), nullptr) == 1,
        "sha256: libcrypto failed");
}

Sha256::~Sha256() { EVP_MD_CTX_free(context_); }

void Sha256::update(const void* bytes, size_t count) {
  if (count == 0) return;
  check(EVP_DigestUpdate(context_, bytes, count) == 1, "sha256: libcrypto failed");
}

std::string Sha256::hex() {
  std::array<unsigned char, EVP_MAX_MD_SIZE> digest{};
  unsigned length = 0;
  check(EVP_DigestFinal_ex(context_, digest.data(), &length) == 1, "sha256: libcrypto failed");
  return fmt::format("{:02x}", fmt::join(digest.begin(), digest.begin() + length, ""));
}

}  // namespace dinomaly
