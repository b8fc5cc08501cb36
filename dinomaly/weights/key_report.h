// Checks that a file's tensors are those a model needs; one line reports the differences.
#pragma once

#include <functional>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "dinomaly/base/framework.h"
#include "nn/module.h"
#include "tensor/tensor.h"

namespace dinomaly {

using NamedShapes = std::vector<std::pair<std::string, Shape>>;

// Throws InputError "SOURCE: WHAT; 2 missing (a, b); 1 unexpected (c); 1 misshapen (d is ..., expected
// ...)", at most five of each named, unless `tensors` are exactly `expected` and floating. A name in
// `incomplete` (part of it is absent) counts as missing if it is expected, otherwise as unexpected; names in
// `extra` are unexpected. `shown` says what a name is in the file. Then checks that each is finite.
void check_tensors(const std::map<std::string, Tensor>& tensors, const NamedShapes& expected,
                   const std::string& source, const std::string& what,
                   const std::vector<std::string>& incomplete = {},
                   const std::vector<std::string>& extra = {},
                   const std::function<std::string(const std::string&)>& shown = {});

// Throws InputError "SOURCE: 'NAME' is not finite: ..." for the first of the tensors that holds a NaN, an infinity,
// or an f64 that is none below the largest f32: weights become f32.
void check_finite(const NamedTensors& tensors, const std::string& source);

}  // namespace dinomaly
