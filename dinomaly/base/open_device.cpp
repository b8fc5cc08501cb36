#include "dinomaly/base/open_device.h"

#include "dinomaly/base/framework.h"
#include "tensor/backend.h"
#include "tensor/error.h"

namespace dinomaly {

Device open_device(const std::string& text) {
  if (text != "auto") {
    const Device device = parse_device(text);
    backend_for(device);
    return device;
  }
  try {
    backend_for(Device::cuda());
    fmt::print(stderr, "--device auto: {}\n", Device::cuda());
    return Device::cuda();
  } catch (const InputError& error) {
    fmt::print(stderr, "--device auto: cpu ({})\n", error.what());
    return Device::cpu();
  }
}

}  // namespace dinomaly
