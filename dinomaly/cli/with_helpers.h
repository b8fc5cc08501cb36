// Commands that judge images, in several processes.
#pragma once

#include <functional>

#include "dinomaly/cli/commands.h"
#include "dinomaly/inference/open_detector.h"

namespace dinomaly {

// The first process does `work`, as one alone would; the others judge what it gives them, by the detector that `flags` open.
Work with_helpers(std::function<int()> work, const DetectorFlags& flags);

}  // namespace dinomaly
