#include "dinomaly/base/open_device.h"

#include <algorithm>

#include "dinomaly/base/framework.h"
#include "dinomaly/base/standard_error.h"
#include "tensor/backend.h"
#include "tensor/communicator.h"
#include "tensor/error.h"

namespace dinomaly {

namespace {

// Processes of one machine share out its GPUs.
Device own_gpu() {
  const int place = communicator().rank_on_machine();
  return Device::cuda(place == 0 ? 0 : place % std::max(1, gpus_of_machine()));
}

}  // namespace

Device open_device(const std::string& text) {
  if (text != "auto") {
    try {
      const Device device = text == "cuda" ? own_gpu() : parse_device(text);
      backend_for(device);
      return device;
    } catch (const InputError& error) {
      fail_input("--device: {}", error.what());
    }
  }
  try {
    const Device device = own_gpu();
    backend_for(device);
    print_error("--device auto: {}\n", device);
    return device;
  } catch (const InputError& error) {
    print_error("--device auto: cpu ({})\n", error.what());
    return Device::cpu();
  }
}

}  // namespace dinomaly
