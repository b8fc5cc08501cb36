#include "dinomaly/weights/encoder_hash.h"

#include <algorithm>

#include "dinomaly/base/framework.h"
#include "dinomaly/base/sha256.h"
#include "tensor/error.h"
#include "tensor/io/mapped_file.h"

namespace dinomaly {

std::string encoder_sha256(const NamedTensors& tensors, Dtype dtype) {
  Sha256 hash;
  NamedTensors sorted = tensors;
  std::sort(sorted.begin(), sorted.end(), [](const auto& a, const auto& b) { return a.first < b.first; });
  for (const auto& [name, tensor] : sorted) {
    const Tensor values = tensor.to(Device::cpu()).to(dtype).contiguous();
    hash.update(fmt::format("{} {}\n", name, tensor.shape()));
    hash.update(values.raw_data(), values.bytes());
  }
  return hash.hex();
}

std::string file_sha256(const std::filesystem::path& path) {
  const auto file = MappedFile::open(path);
  Sha256 hash;
  hash.update(file->data(), file->size());
  return hash.hex();
}

}  // namespace dinomaly
