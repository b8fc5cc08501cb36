// Writes a detector trained here in the form that another implementation loads.
#pragma once

#include <filesystem>

#include "dinomaly/model/model_file.h"

namespace dinomaly {

// Writes a safetensors file.
//   authors: the state dict of their Dinomaly or Dinomaly2 (encoder under Meta's names). Needs the preset `paper`
//   or `dinomaly2`.
//   anomalib: the state dict of its Lightning module Dinomaly (version 2.7), its post-processor's statistics
//   unset (NaN). Needs the preset `anomalib`.
// The encoder's final norm and mask token, which neither implementation uses, are the identity and zeros.
// Target blocks, groups and image sizes are arguments of their constructors: the metadata holds them under
// "config". Throws InputError for a detector of another preset (its arithmetic differs) or with an option that the
// target does not compute, which it names, and if the file cannot be written.
void export_detector(const std::filesystem::path& path, const Detector& detector, DetectorKind target);

}  // namespace dinomaly
