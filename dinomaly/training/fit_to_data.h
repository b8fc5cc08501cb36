// What of a run's options follows from its data.
#pragma once

#include "dinomaly/data/dataset.h"
#include "dinomaly/training/train_options.h"

namespace dinomaly {

// Sets, in a config that is complete for an encoder of that patch:
//   what the preset dinomaly2 has for such data (and says so), unless the option was given (TrainOptions::given);
//   whether images come with depth;
//   the batch: all images there are where those are fewer, with dinomaly2 and for few-shot training; with
//     `separate` it fits each category;
//   the bit depth of the training images, unless it was given.
// Throws InputError for a batch that does not fit.
void fit_to_data(TrainOptions& options, const Dataset& dataset, int64_t patch);

}  // namespace dinomaly
