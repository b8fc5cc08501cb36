// Text from a file, made fit for an error message.
#pragma once

#include <string>
#include <string_view>

namespace nabla {

// `text` on one line: control characters become '?'.
inline std::string one_line(std::string text) {
  for (char& c : text) {
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) c = '?';
  }
  return text;
}

// one_line() of the first `longest` bytes.
inline std::string printable(std::string_view text, size_t longest = 100) {
  const std::string result = one_line(std::string(text.substr(0, longest)));
  return text.size() > longest ? result + "..." : result;
}

}  // namespace nabla
