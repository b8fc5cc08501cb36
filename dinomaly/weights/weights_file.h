// A file of named tensors, in any supported format.
#pragma once

#include <filesystem>
#include <map>
#include <memory>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

#include "dinomaly/base/framework.h"
#include "tensor/io/safetensors.h"
#include "tensor/tensor.h"

namespace dinomaly {

// The tensors on the CPU, in memory of their own: a command may use them for hours, and what is written to the file
// meanwhile changes nothing. F16 becomes f32.
struct WeightsFile {
  enum class Format { safetensors, torch_zip, sharded_safetensors };

  std::filesystem::path path;
  Format format = Format::safetensors;
  std::map<std::string, Tensor> tensors;
  std::map<std::string, std::string> dtypes;    // of the tensors, as safetensors spells them: "F16"
  std::map<std::string, std::string> metadata;  // safetensors' strings
  // Lightning's, as far as they are numbers, strings and containers; null: none.
  std::shared_ptr<const nlohmann::json> hyper_parameters;
  // What stands beside the tensors and is none, or one that is not read, and what it is: "a number", "of dtype
  // F8_E4M3". It matters only where such a tensor is needed (check_readable()).
  std::map<std::string, std::string> skipped;
  std::vector<std::filesystem::path> shards;  // of a sharded file, whose path is its index

  std::string source() const { return path.string(); }
};

// Opens a safetensors file, one that torch.save() wrote (torch_file.h), recognised by its first bytes, or the
// index of a sharded one (NAME.json, sharded_file.h); of a folder the one in it. Throws InputError naming the file
// and the fault; other formats are named where their first bytes tell.
WeightsFile load_weights_file(const std::filesystem::path& path);

// What an open safetensors file holds.
WeightsFile weights_of(const SafeTensors& file);
// One safetensors file. Throws InputError naming the file and the fault.
WeightsFile load_safetensors_file(const std::filesystem::path& path);

// Throws InputError "SOURCE: NAME is of dtype F8_E4M3, which is not read".
void check_readable(const std::map<std::string, std::string>& skipped, const std::string& name,
                    const std::string& source);

std::string name_of(WeightsFile::Format format);  // "safetensors", "PyTorch zip", "sharded safetensors"

}  // namespace dinomaly
