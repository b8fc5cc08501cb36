// A trained model made int8, with scales from the images that it was trained on.
#pragma once

#include <vector>

#include "dinomaly/data/dataset.h"
#include "dinomaly/model/model.h"

namespace dinomaly {

// Sends up to 32 of the samples, spread evenly, through the model, and quantises it (model/quantized_weights.h). Throws
// InputError naming an image that cannot be read, or saying that there is none.
void quantize_trained(Dinomaly& model, const std::vector<Sample>& samples);

}  // namespace dinomaly
