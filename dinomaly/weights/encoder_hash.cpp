#include "dinomaly/weights/encoder_hash.h"

#include <openssl/evp.h>

#include <algorithm>
#include <array>
#include <memory>

#include "tensor/error.h"
#include "tensor/io/mapped_file.h"

namespace dinomaly {
namespace {

class Sha256 {
 public:
  Sha256() : context_(EVP_MD_CTX_new(), EVP_MD_CTX_free) {
    require(context_ && EVP_DigestInit_ex(context_.get(), EVP_sha256(), nullptr));
  }
  void update(const void* data, size_t bytes) {
    if (bytes > 0) require(EVP_DigestUpdate(context_.get(), data, bytes));
  }
  std::string hexadecimal() {
    std::array<unsigned char, EVP_MAX_MD_SIZE> digest{};
    unsigned length = 0;
    require(EVP_DigestFinal_ex(context_.get(), digest.data(), &length));
    return fmt::format("{:02x}", fmt::join(digest.begin(), digest.begin() + length, ""));
  }

 private:
  static void require(bool ok) { check(ok, "sha256: libcrypto failed"); }

  std::unique_ptr<EVP_MD_CTX, void (*)(EVP_MD_CTX*)> context_;
};

}  // namespace

std::string encoder_sha256(const NamedTensors& tensors, Dtype dtype) {
  NamedTensors sorted = tensors;
  std::sort(sorted.begin(), sorted.end(), [](const auto& a, const auto& b) { return a.first < b.first; });
  Sha256 hash;
  for (const auto& [name, tensor] : sorted) {
    const std::string title = fmt::format("{} {}\n", name, tensor.shape());
    const Tensor values = tensor.to(Device::cpu()).to(dtype).contiguous();
    hash.update(title.data(), title.size());
    hash.update(values.raw_data(), values.bytes());
  }
  return hash.hexadecimal();
}

std::string file_sha256(const std::filesystem::path& path) {
  const auto file = MappedFile::open(path);
  Sha256 hash;
  hash.update(file->data(), file->size());
  return hash.hexadecimal();
}

}  // namespace dinomaly
