// Parsing a command line as every program here does it.
#pragma once

#include <string>

namespace CLI {
class App;
}

namespace dinomaly {

// Parses the flags. False: the help or the version was asked for and has been printed, and the program is
// done. `version` is printed after the program's name for --version, where `app` has that flag. Numbers are read as
// base/numbers.h says, of every flag that takes one. Throws InputError for wrong flags and for
// a value that is empty.
bool parse_flags(CLI::App& app, int argc, char** argv, const std::string& version = "");

}  // namespace dinomaly
