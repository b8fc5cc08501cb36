// What torch.save() writes since PyTorch 1.6: a zip archive of a pickle and one entry per tensor storage.
#pragma once

#include <filesystem>

#include "dinomaly/weights/weights_file.h"

namespace dinomaly {

// Reads the state dict: the file's dict itself, or what lies in it under "state_dict" (Lightning) or "model".
// Tensors may share storages and have any strides inside them; contiguous ones point into the mapped file.
// Nothing in the pickle is run: what is no tensor is named in `skipped`. Throws InputError naming the file
// for a damaged archive, a pickle that is no dict of tensors, tensors that reach outside their storage, and
// more than four times the file's bytes of tensors.
WeightsFile load_torch_file(const std::filesystem::path& path);

}  // namespace dinomaly
