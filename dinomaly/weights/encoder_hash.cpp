#include "dinomaly/weights/encoder_hash.h"

#include <openssl/evp.h>

#include <algorithm>
#include <array>
#include <memory>

#include "tensor/error.h"

namespace dinomaly {

std::string encoder_sha256(const NamedTensors& tensors, Dtype dtype) {
  const std::unique_ptr<EVP_MD_CTX, void (*)(EVP_MD_CTX*)> context(EVP_MD_CTX_new(), EVP_MD_CTX_free);
  bool ok = context && EVP_DigestInit_ex(context.get(), EVP_sha256(), nullptr);
  NamedTensors sorted = tensors;
  std::sort(sorted.begin(), sorted.end(), [](const auto& a, const auto& b) { return a.first < b.first; });
  for (const auto& [name, tensor] : sorted) {
    const std::string title = fmt::format("{} {}\n", name, tensor.shape());
    const Tensor values = tensor.to(Device::cpu()).to(dtype).contiguous();
    ok = ok && EVP_DigestUpdate(context.get(), title.data(), title.size()) &&
         (values.numel() == 0 || EVP_DigestUpdate(context.get(), values.raw_data(), values.bytes()));
  }
  std::array<unsigned char, EVP_MAX_MD_SIZE> digest{};
  unsigned length = 0;
  ok = ok && EVP_DigestFinal_ex(context.get(), digest.data(), &length);
  check(ok, "sha256: libcrypto failed");
  return fmt::format("{:02x}", fmt::join(digest.begin(), digest.begin() + length, ""));
}

}  // namespace dinomaly
