// A wrong value of an option that has one name in a file and another on a command line.
#pragma once

#include <fmt/format.h>

#include <string>
#include <utility>

#include "dinomaly/base/framework.h"
#include "tensor/error.h"

namespace dinomaly {

// "OPTION: FAULT", the option named as in a file of options. Who knows that it came by a flag says "--OPTION: FAULT".
class OptionError : public InputError {
 public:
  OptionError(const std::string& option, const std::string& fault)
      : InputError(option + ": " + fault), option_(option), fault_(fault) {}

  const std::string& option() const { return option_; }
  const std::string& fault() const { return fault_; }

 private:
  std::string option_, fault_;
};

// Throws OptionError with the formatted fault unless `ok`.
template <class... Args>
void check_option(bool ok, const std::string& option, fmt::format_string<Args...> format, Args&&... args) {
  if (!ok) throw OptionError(option, fmt::format(format, std::forward<Args>(args)...));
}

}  // namespace dinomaly
