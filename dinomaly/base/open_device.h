// From a name to a device that computes.
#pragma once

#include <string>

#include "dinomaly/base/framework.h"
#include "tensor/device.h"

namespace dinomaly {

// The device of --device, ready to compute. For auto a line on stderr says which it is, and for the CPU why.
// Of several processes on a machine each has a GPU of its own for cuda and auto, as far as there are so many.
// Throws InputError where a device that is named cannot be used.
Device open_device(const std::string& text);

}  // namespace dinomaly
