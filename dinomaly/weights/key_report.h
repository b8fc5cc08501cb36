// Whether a file's tensors are those a model needs, and the one line that says how not.
#pragma once

#include <map>
#include <string>
#include <utility>
#include <vector>

#include "dinomaly/base/framework.h"
#include "tensor/tensor.h"

namespace dinomaly {

using NamedShapes = std::vector<std::pair<std::string, Shape>>;

// Throws InputError "SOURCE: WHAT; 2 missing (a, b); 1 unexpected (c); 1 misshapen (d is ..., expected ...)",
// at most five of each named, unless `tensors` are exactly `expected` and floating. Every name of
// `incomplete` (a part of it is absent) counts as missing if it is expected, otherwise as unexpected; those
// of `strangers` are unexpected.
void check_tensors(const std::map<std::string, Tensor>& tensors, const NamedShapes& expected,
                   const std::string& source, const std::string& what,
                   const std::vector<std::string>& incomplete = {},
                   const std::vector<std::string>& strangers = {});

}  // namespace dinomaly
