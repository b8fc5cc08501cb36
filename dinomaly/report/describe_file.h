// What a checkpoint is, in words and numbers.
#pragma once

#include <filesystem>
#include <nlohmann/json.hpp>

namespace dinomaly {

struct DescribeOptions {
  int64_t heads = 0;     // 0: what the file says, otherwise width / 64, otherwise unknown (null)
  bool tensors = false;  // list all of them
};

// {file, format, bytes, sha256, kind: "detector" | "encoder" | "state of a training run" |
//  "other", parameters, dtypes: {F32: tensors},
//  encoder: {width, heads, depth, patch, registers, grid, ffn, hidden, layer_scale, sha256 (encoder_hash.h)},
//  detector: {written_by, preset, slim, config}, calibration, skipped, tensors: {NAME: "F32 (2, 3)"}};
// what does not apply is absent. Throws InputError for a damaged file, and for an encoder or detector that is
// not whole.
nlohmann::json describe_file(const std::filesystem::path& path, const DescribeOptions& options = {});

}  // namespace dinomaly
