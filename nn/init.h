// Initial values of parameters: drawn in double, then rounded to the parameter's dtype.
#pragma once

#include "nn/module.h"

namespace nabla {

// Normal with standard deviation `std`, redrawn while outside [-cut, cut].
void truncated_normal(const Variable& parameter, double std, double cut, Generator& generator);
// Uniform in +-sqrt(6 / (fan_in + fan_out)), weight (out, in, ...) (Glorot and Bengio 2010).
void xavier_uniform(const Variable& weight, Generator& generator);

}  // namespace nabla
