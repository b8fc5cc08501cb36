// --device, the same in every program.
#pragma once

#include <string>

#include "dinomaly/base/framework.h"
#include "tensor/device.h"

namespace CLI {
class App;
}

namespace dinomaly {

inline constexpr const char* device_help =
    "cpu, cuda, cuda:N, or auto: cuda if it can be used, otherwise cpu";
inline constexpr const char* deterministic_help =
    "no effect: every run is deterministic (same seed, device and threads: same bits)";

// Adds --device and --deterministic.
void add_device_flags(CLI::App& app, std::string& device);

// The device of --device, ready to compute. For auto a line on stderr says which it is, and for the CPU why.
// Throws InputError where a device that is named cannot be used.
Device open_device(const std::string& text);

}  // namespace dinomaly
