#include "dinomaly/weights/weights_file.h"

#include <algorithm>
#include <string_view>

#include "dinomaly/base/files.h"
#include "dinomaly/base/framework.h"
#include "dinomaly/weights/sharded_file.h"
#include "dinomaly/weights/torch_file.h"
#include "tensor/error.h"
#include "tensor/io/mapped_file.h"
#include "tensor/io/printable.h"

namespace dinomaly {
namespace {

std::string first_bytes(const std::filesystem::path& path) {
  constexpr size_t enough = 512;
  const auto file = MappedFile::open(path);
  const char* data = reinterpret_cast<const char*>(file->data());
  return {data, data + std::min(file->size(), enough)};
}

// What a file that is not read is, as far as its first bytes tell; empty: they don't.
std::string name_other_format(std::string_view start) {
  // Files that torch.save() wrote before version 1.6 begin with this number, pickled.
  constexpr std::string_view legacy = "\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19";
  constexpr std::string_view again = "save it again with a later one (torch.save(torch.load(FILE), FILE))";
  constexpr size_t tar_magic = 257;
  if (start.substr(0, 32).find(legacy) != std::string_view::npos)
    return fmt::format("written by PyTorch in its format before version 1.6; {}", again);
  if (start.size() > tar_magic && start.substr(tar_magic).starts_with("ustar"))
    return fmt::format("a tar archive; if PyTorch wrote it, then in its format before version 0.1.10: {}",
                       again);
  if (start.size() > 1 && start[0] == '\x80' && start[1] >= 2 && start[1] <= 5)
    return "a pickle, but not one of torch.save()";
  if (start.starts_with("\x1f\x8b")) return "compressed by gzip; decompress it first";
  if (start.starts_with("\x89HDF")) return "an HDF5 file";
  if (start.starts_with("GGUF")) return "a GGUF file";
  if (start.starts_with("version https://git-lfs"))
    return "a pointer of Git LFS, not the file (git lfs pull)";
  if (start.starts_with("<!DOCTYPE") || start.starts_with("<html"))
    return "a web page, not the file it offers";
  return "";
}

}  // namespace

WeightsFile weights_of(const SafeTensors& file) {
  WeightsFile result;
  result.path = file.path();
  result.metadata = file.metadata();
  for (const std::string& name : file.names()) {
    if (const std::string why = file.why_unreadable(name); !why.empty()) {
      result.skipped[name] = why;
      continue;
    }
    result.tensors[name] = file.get(name);
    result.dtypes[name] = file.dtype(name);
  }
  return result;
}

WeightsFile load_safetensors_file(const std::filesystem::path& path) {
  return weights_of(SafeTensors::read(path));
}

WeightsFile load_weights_file(const std::filesystem::path& path) {
  if (is_folder(path)) return load_weights_file(weights_in_folder(path));
  if (path.extension() == ".json") return load_sharded_file(path);
  const std::string start = first_bytes(path);
  if (start.starts_with("PK\x03\x04")) return load_torch_file(path);
  const bool header = start.size() < 9 || start[8] == '{';
  const std::string other = header ? "" : name_other_format(start);
  check_input(other.empty(), "{}: {}", path.string(), other);
  check_input(header, "{}: neither a safetensors nor a PyTorch file", path.string());
  return load_safetensors_file(path);
}

void check_readable(const std::map<std::string, std::string>& skipped, const std::string& name,
                    const std::string& source) {
  const auto found = skipped.find(name);
  if (found == skipped.end()) return;
  const std::string& what = found->second;
  fail_input("{}: {} is {}, which is not read", source, printable(name), what);
}

std::string name_of(WeightsFile::Format format) {
  if (format == WeightsFile::Format::sharded_safetensors) return "sharded safetensors";
  return format == WeightsFile::Format::safetensors ? "safetensors" : "PyTorch zip";
}

}  // namespace dinomaly
