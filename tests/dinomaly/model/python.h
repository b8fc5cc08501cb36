// Runs the Python scripts of this folder, which call other implementations.
#pragma once

#include <fmt/core.h>
#include <sys/wait.h>

#include <cstdlib>
#include <string>

namespace dinomaly {

// A script's exit status where a package that it needs is not installed.
constexpr int package_missing = 77;

// The exit status of `script` under $DINOMALY_PYTHON, or python3. package_missing if there is no such Python.
inline int run_python(const std::string& script, const std::string& arguments) {
  const char* chosen = std::getenv("DINOMALY_PYTHON");
  const std::string command =
      fmt::format("{} -W ignore {}/tests/dinomaly/model/{} {} >/dev/null 2>&1", chosen ? chosen : "python3",
                  DINOMALY_SOURCE_DIR, script, arguments);
  const int status = std::system(command.c_str());
  const int code = WIFEXITED(status) ? WEXITSTATUS(status) : -1;
  return code == 127 ? package_missing : code;
}

}  // namespace dinomaly
