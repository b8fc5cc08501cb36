// Weights in several safetensors files and an index that says which tensor is in which, as transformers writes
// them: {"metadata": {...}, "weight_map": {"NAME": "model-00001-of-00002.safetensors", ...}}.
#pragma once

#include <filesystem>
#include <optional>

#include "dinomaly/weights/weights_file.h"

namespace dinomaly {

// Reads the shards beside the index. A shard is named by a file name alone, so nothing outside the index's
// folder is opened. Throws InputError naming the index and the fault: not JSON, a tensor named twice, a shard
// with a path in its name or absent, a tensor that is not in its shard or is in another one, too.
WeightsFile load_sharded_file(const std::filesystem::path& index);

// The weights file in a folder: model.safetensors.index.json or else model.safetensors; none if there is neither.
std::optional<std::filesystem::path> find_weights_in_folder(const std::filesystem::path& folder);
// The same; throws InputError naming the folder if there is neither.
std::filesystem::path weights_in_folder(const std::filesystem::path& folder);

}  // namespace dinomaly
