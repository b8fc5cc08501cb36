#include "dinomaly/cli/parse_flags.h"

#include <CLI/CLI.hpp>

#include "dinomaly/base/framework.h"
#include "tensor/error.h"

namespace dinomaly {

bool parse_flags(CLI::App& app, int argc, char** argv, const std::string& version) {
  try {
    app.parse(argc, argv);
    return true;
  } catch (const CLI::CallForVersion&) {
    fmt::print("{} {}\n", app.get_name(), version);
  } catch (const CLI::Success&) {
    fmt::print("{}", app.help());
  } catch (const CLI::ParseError& error) {
    fail_input("{}", error.what());
  }
  return false;
}

}  // namespace dinomaly
