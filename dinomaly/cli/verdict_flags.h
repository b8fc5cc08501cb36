// The flags that say how a score and a map become a verdict: of the commands that judge single images.
#pragma once

#include "dinomaly/report/verdict_options.h"

namespace CLI {
class App;
}

namespace dinomaly {

// --threshold, --pixel-threshold, --category, --min-area.
void add_verdict_flags(CLI::App& command, VerdictFlags& flags);

}  // namespace dinomaly
