// What torch.save() writes since PyTorch 1.6: a zip archive of a pickle and one entry per tensor storage.
#pragma once

#include <filesystem>

#include "dinomaly/weights/weights_file.h"

namespace dinomaly {

// Reads the state dict: the file's dict itself, or those that a training program has put into it under a name
// (state_dicts.h). Tensors may share storages and have any strides inside them; contiguous ones point into the
// file's bytes unless its byte order is big-endian. Nothing in the pickle is run; entries that are not tensors,
// or are tensors of a kind that is not read, are named in `skipped`. Throws InputError naming the file for a
// damaged archive, one that says something of itself that is not known (torch_archive.h), a pickle that is not
// a dict, tensors that reach outside their storage, and tensors of more than four times the file's bytes.
WeightsFile load_torch_file(const std::filesystem::path& path);

}  // namespace dinomaly
