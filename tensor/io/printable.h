// Text out of a file, fit for an error message.
#pragma once

#include <string>
#include <string_view>

namespace dinomaly {

// `text` on one line, without control characters, cut after 100 bytes.
inline std::string printable(std::string_view text) {
  constexpr size_t longest = 100;
  std::string result(text.substr(0, longest));
  for (char& c : result) {
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) c = '?';
  }
  return text.size() > longest ? result + "..." : result;
}

}  // namespace dinomaly
