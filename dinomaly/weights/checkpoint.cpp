#include "dinomaly/weights/checkpoint.h"

#include "tensor/io/printable.h"
#include "tensor/io/safetensors.h"

namespace dinomaly {

Checkpoint load_checkpoint(const std::filesystem::path& path) {
  const SafeTensors file = SafeTensors::load(path);
  Checkpoint result;
  result.path = path;
  result.metadata = file.metadata();
  for (const std::string& name : file.names()) {
    const std::string dtype = file.dtype(name);
    if (!SafeTensors::is_supported(dtype)) {
      result.skipped.push_back(fmt::format("{} ({})", printable(name), dtype));
      continue;
    }
    result.tensors[name] = file.get(name);
    result.dtypes[name] = dtype;
  }
  return result;
}

std::string name_of(Checkpoint::Format format) {
  return format == Checkpoint::Format::safetensors ? "safetensors" : "PyTorch zip";
}

}  // namespace dinomaly
