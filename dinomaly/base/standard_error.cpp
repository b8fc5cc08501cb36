#include "dinomaly/base/standard_error.h"

#include <cstdio>

namespace dinomaly {

void write_error(std::string_view text) {
  static_cast<void>(std::fwrite(text.data(), 1, text.size(), stderr));
  std::clearerr(stderr);
}

}  // namespace dinomaly
