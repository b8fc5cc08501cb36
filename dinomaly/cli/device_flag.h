// --device, the same in every program.
#pragma once

#include <string>

#include "dinomaly/base/open_device.h"

namespace CLI {
class App;
}

namespace dinomaly {

inline constexpr const char* device_help =
    "cpu, cuda, cuda:N, or auto: cuda if it can be used, otherwise cpu. "
    "Of several processes of a machine each takes a GPU of its own for cuda";
inline constexpr const char* deterministic_help =
    "no effect: every run is deterministic (same seed and device: same bits)";

// Adds --device and --deterministic.
void add_device_flags(CLI::App& app, std::string& device);

}  // namespace dinomaly
