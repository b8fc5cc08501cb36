// Ranges of numbers for flags. In the words of all other errors: CLI11's own name the largest double, with 300 digits.
#pragma once

#include <CLI/CLI.hpp>
#include <cstdint>

namespace dinomaly {

// "5000 is not from 0 to 1024".
CLI::Validator from_to(int64_t least, int64_t most);
// "0 is not above 0".
CLI::Validator above_zero();

}  // namespace dinomaly
