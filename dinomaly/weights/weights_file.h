// A file of named tensors, in any supported format.
#pragma once

#include <filesystem>
#include <map>
#include <memory>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

#include "dinomaly/base/framework.h"
#include "tensor/tensor.h"

namespace dinomaly {

// The tensors on the CPU. They use the mapped file's memory wherever its bytes need no conversion, so that
// opening a file of any size is cheap. F16 becomes f32.
struct WeightsFile {
  enum class Format { safetensors, torch_zip };

  std::filesystem::path path;
  Format format = Format::safetensors;
  std::map<std::string, Tensor> tensors;
  std::map<std::string, std::string> dtypes;    // of the tensors, as safetensors spells them: "F16"
  std::map<std::string, std::string> metadata;  // safetensors' strings
  // Lightning's, as far as they are numbers, strings and containers; null: none.
  std::shared_ptr<const nlohmann::json> hyper_parameters;
  std::vector<std::string> skipped;  // "name (what it is)": what stands beside the tensors and is no tensor

  std::string source() const { return path.string(); }
};

// Opens a safetensors file or one that torch.save() wrote (torch_file.h), recognised by its first bytes.
// Throws InputError naming the file and the fault.
WeightsFile load_weights_file(const std::filesystem::path& path);

std::string name_of(WeightsFile::Format format);  // "safetensors", "PyTorch zip"

}  // namespace dinomaly
