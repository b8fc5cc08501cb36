// Operands of products of int8.
#pragma once

#include <cstdint>
#include <vector>

namespace nabla {

// Numbers from -127 to 127, which are the first two.
inline std::vector<int8_t> int8_numbers(int64_t count, uint32_t seed) {
  std::vector<int8_t> numbers{-127, 127};
  for (uint32_t state = seed; static_cast<int64_t>(numbers.size()) < count;) {
    state = state * 1664525u + 1013904223u;
    numbers.push_back(static_cast<int8_t>(static_cast<int>((state >> 16) % 255) - 127));
  }
  numbers.resize(static_cast<size_t>(count));
  return numbers;
}

}  // namespace nabla
