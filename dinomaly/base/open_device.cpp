#include "dinomaly/base/open_device.h"

#include "dinomaly/base/framework.h"
#include "dinomaly/base/standard_error.h"
#include "tensor/backend.h"
#include "tensor/error.h"

namespace dinomaly {

Device open_device(const std::string& text) {
  if (text != "auto") {
    try {
      const Device device = parse_device(text);
      backend_for(device);
      return device;
    } catch (const InputError& error) {
      fail_input("--device: {}", error.what());
    }
  }
  try {
    backend_for(Device::cuda());
    print_error("--device auto: {}\n", Device::cuda());
    return Device::cuda();
  } catch (const InputError& error) {
    print_error("--device auto: cpu ({})\n", error.what());
    return Device::cpu();
  }
}

}  // namespace dinomaly
