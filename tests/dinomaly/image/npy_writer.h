// Arrays as numpy.save writes them, for tests of what is read.
#pragma once

#include <string>

namespace dinomaly {

// `shape`: as Python prints a tuple, "(2, 3, 5)"; `data`: the elements.
inline std::string npy_of(const std::string& type, const std::string& shape, const std::string& data,
                          const std::string& fortran = "False") {
  std::string header = "{'descr': " + type + ", 'fortran_order': " + fortran + ", 'shape': " + shape + ", }";
  header.append(64 - (10 + header.size() + 1) % 64, ' ');
  header += '\n';
  std::string bytes("\x93NUMPY\x01\x00", 8);
  bytes += static_cast<char>(header.size() & 0xff);
  bytes += static_cast<char>(header.size() >> 8);
  return bytes + header + data;
}

}  // namespace dinomaly
