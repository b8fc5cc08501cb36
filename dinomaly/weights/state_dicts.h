// Where in a pickle the tensors are: dicts, and the names by which programs put one into another.
#pragma once

#include <cstddef>
#include <optional>
#include <string_view>

#include "dinomaly/base/framework.h"
#include "dinomaly/weights/pickle.h"
#include "dinomaly/weights/torch_tensors.h"
#include "dinomaly/weights/weights_file.h"

namespace dinomaly {

// Where the keys and values of a dict begin among a node's items; none if it is not a dict.
std::optional<size_t> dict_begin(const Pickle& pickle, const PickleNode& node);

// The value under a string; null if there is none or `dict` is not a dict.
const PickleNode* find_in_dict(const Pickle& pickle, const PickleNode& dict, std::string_view key);

// Adds the tensors of a dict to `result`, those of dicts in it under "KEY.NAME". If some of its values are state
// dicts that training programs put under one of a few names ("state_dict", "model", "teacher", ...), only those
// are read; the name is left out if there is only one and it does not tell which of several models it is.
// What is no tensor goes to `result.skipped`. Throws InputError beginning with `source` as TorchTensors::read()
// does and for dicts inside each other without end.
void read_state_dicts(const Pickle& pickle, const PickleNode& root, TorchTensors& reader,
                      const std::string& source, WeightsFile& result);

}  // namespace dinomaly
