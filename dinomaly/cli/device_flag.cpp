#include "dinomaly/cli/device_flag.h"

#include <CLI/CLI.hpp>

#include "dinomaly/base/framework.h"
#include "tensor/kernels.h"

namespace dinomaly {

void add_device_flags(CLI::App& app, std::string& device) {
  app.add_option("--device", device, device_help)->capture_default_str();
  app.add_flag("--deterministic", deterministic_help);
}

Device open_device(const std::string& text) {
  if (text != "auto") {
    const Device device = parse_device(text);
    kernels_for(device);
    return device;
  }
  try {
    kernels_for(Device::cuda());
    fmt::print(stderr, "--device auto: {}\n", Device::cuda());
    return Device::cuda();
  } catch (const InputError& error) {
    fmt::print(stderr, "--device auto: cpu ({})\n", error.what());
    return Device::cpu();
  }
}

}  // namespace dinomaly
