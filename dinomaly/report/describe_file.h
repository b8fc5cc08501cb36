// Describes a weights file.
#pragma once

#include <filesystem>
#include <nlohmann/json_fwd.hpp>

namespace dinomaly {

struct DescribeOptions {
  int64_t heads = 0;     // 0: the file's own number, or else width / 64, or else unknown (null)
  bool tensors = false;  // list all of them
};

// {file, format, bytes, sha256, kind: "detector" | "encoder" | "state of a training run" |
//  "other", parameters, dtypes: {F32: tensors},
//  encoder: {width, heads, depth, patch, registers, positions: table | rotary, grid, ffn, hidden, layer_scale, sha256 (encoder_hash.h), under:
//  what precedes its names, not_under: [the same of other encoders], tensors_not_used},
//  detector: {written_by, preset, slim, config}, calibration, skipped, tensors: {NAME: "F32 (2, 3)"}};
// what does not apply is absent. bytes are those of all files, sha256 that of a sharded file's index. Throws InputError for a damaged file and for an incomplete
// encoder or detector.
nlohmann::json describe_file(const std::filesystem::path& path, const DescribeOptions& options = {});

}  // namespace dinomaly
