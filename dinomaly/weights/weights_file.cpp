#include "dinomaly/weights/weights_file.h"

#include <algorithm>
#include <string_view>

#include "dinomaly/base/framework.h"
#include "dinomaly/weights/torch_file.h"
#include "tensor/io/mapped_file.h"
#include "tensor/io/printable.h"
#include "tensor/io/raw_tensor.h"
#include "tensor/io/safetensors.h"

namespace dinomaly {
namespace {

std::string first_bytes(const std::filesystem::path& path) {
  constexpr size_t enough = 16;
  const auto file = MappedFile::open(path);
  const char* data = reinterpret_cast<const char*>(file->data());
  return {data, data + std::min(file->size(), enough)};
}

WeightsFile load_safetensors(const std::filesystem::path& path) {
  const SafeTensors file = SafeTensors::load(path);
  WeightsFile result;
  result.path = path;
  result.metadata = file.metadata();
  for (const std::string& name : file.names()) {
    const std::string dtype = file.dtype(name);
    if (!is_supported_dtype(dtype)) {
      result.skipped.push_back(fmt::format("{} ({})", printable(name), dtype));
      continue;
    }
    result.tensors[name] = file.get(name);
    result.dtypes[name] = dtype;
  }
  return result;
}

}  // namespace

WeightsFile load_weights_file(const std::filesystem::path& path) {
  // Files that torch.save() wrote before version 1.6 begin with this number, pickled.
  constexpr std::string_view legacy = "\x80\x02\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19\x2e";
  const std::string start = first_bytes(path);
  if (start.starts_with("PK\x03\x04")) return load_torch_file(path);
  check_input(!start.starts_with(legacy),
              "{}: written by PyTorch in its format before version 1.6; save it again with a later one "
              "(torch.save(torch.load(FILE), FILE))",
              path.string());
  check_input(start.size() < 9 || start[8] == '{', "{}: neither a safetensors nor a PyTorch file",
              path.string());
  return load_safetensors(path);
}

std::string name_of(WeightsFile::Format format) {
  return format == WeightsFile::Format::safetensors ? "safetensors" : "PyTorch zip";
}

}  // namespace dinomaly
