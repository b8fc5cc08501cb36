// Lines for people, on standard error.
#pragma once

#include <fmt/core.h>

#include <string_view>
#include <utility>

namespace dinomaly {

// Writes to standard error, and nothing where that is closed or full: a lost message must not cost the work it is about.
void write_error(std::string_view text);

template <class... Args>
void print_error(fmt::format_string<Args...> format, Args&&... args) {
  write_error(fmt::format(format, std::forward<Args>(args)...));
}

}  // namespace dinomaly
