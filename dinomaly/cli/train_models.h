// All that `dinomaly train` does, once its flags are read.
#pragma once

#include "dinomaly/cli/train_run.h"
#include "dinomaly/training/train_options.h"

namespace dinomaly {

// Trains the model of options.out, or with `separate` one for each category, says on standard output how that goes, and
// writes what TrainRun does. 0: done; 128 and the number of the signal that stopped it (StopSignal). Throws InputError.
int train_models(TrainOptions options, const StepSink& on_step = {});

}  // namespace dinomaly
