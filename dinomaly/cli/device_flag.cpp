#include "dinomaly/cli/device_flag.h"

#include <CLI/CLI.hpp>

namespace dinomaly {

void add_device_flags(CLI::App& app, std::string& device) {
  app.add_option("--device", device, device_help)->capture_default_str();
  app.add_flag("--deterministic", deterministic_help);
}

}  // namespace dinomaly
