// A trained detector as one safetensors file under the authors' key names.
#pragma once

#include <filesystem>

#include "dinomaly/model.h"

namespace dinomaly {

// encoder.*, bottleneck.* and decoder.*; the metadata holds "config" (Config::to_json) and "heads". Written
// whole or not at all.
void save_model(const std::filesystem::path& path, const Dinomaly& model, const EncoderConfig& encoder);

}  // namespace dinomaly
