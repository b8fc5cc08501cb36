// A trained model against all categories of a data set.
#pragma once

#include <vector>

#include "dinomaly/data/dataset.h"
#include "dinomaly/evaluation/evaluate.h"

namespace dinomaly {

// The categories with good and anomalous test images; reports on standard output which are left out, and
// which have no masks.
Dataset evaluable_part(const Dataset& dataset);

// evaluate() for each category, in batches of the config's size.
std::vector<CategoryResult> evaluate_all(const Dinomaly& model, const Dataset& dataset);

}  // namespace dinomaly
