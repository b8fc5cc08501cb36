// What torch.save() writes since PyTorch 1.6: a zip archive of a pickle and one entry per tensor storage.
#pragma once

#include <filesystem>

#include "dinomaly/weights/weights_file.h"

namespace dinomaly {

// Reads the state dict: the file's dict itself, or the one under "state_dict" (Lightning) or "model". Tensors
// may share storages and have any strides inside them; contiguous ones point into the mapped file. Nothing in
// the pickle is run; entries that are not tensors are named in `skipped`. Throws InputError naming the file
// for a damaged archive, a pickle that is not a dict of tensors, tensors that reach outside their storage,
// and tensors of more than four times the file's bytes.
WeightsFile load_torch_file(const std::filesystem::path& path);

}  // namespace dinomaly
