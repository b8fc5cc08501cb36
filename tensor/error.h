// Errors: what a function throws when its contract is broken, and what a user sees when an input is wrong.
#pragma once

#include <fmt/core.h>

#include <stdexcept>
#include <string>
#include <utility>

namespace nabla {

// A broken contract: a wrong shape, dtype or state. The message names the op and what it was given.
class Error : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

// A user's bad file, flag or value, reported in one line. Programs print it to stderr and exit with status 2.
class InputError : public Error {
 public:
  using Error::Error;
};

// There is not enough memory, as std::bad_alloc, but it says for what.
class OutOfMemory : public Error {
 public:
  using Error::Error;
};

// What a kernel or a device has done wrong: from then on all of the device's work in this process fails, and only a new process
// can use it again.
class DeviceFault : public Error {
 public:
  using Error::Error;
};

// What fail() and fail_input() do with their text. Compiled once: formatting in place costs every unit that
// checks something half a second, and the machine code of the path not taken.
[[noreturn]] void throw_error(fmt::string_view format, fmt::format_args args);
[[noreturn]] void throw_input_error(fmt::string_view format, fmt::format_args args);

// Throws Error with the formatted message.
template <class... Args>
[[noreturn]] void fail(fmt::format_string<Args...> format, Args&&... args) {
  throw_error(format, fmt::make_format_args(args...));
}

// Throws InputError with the formatted message.
template <class... Args>
[[noreturn]] void fail_input(fmt::format_string<Args...> format, Args&&... args) {
  throw_input_error(format, fmt::make_format_args(args...));
}

// Throws Error with the formatted message unless `ok`.
template <class... Args>
void check(bool ok, fmt::format_string<Args...> format, Args&&... args) {
  if (!ok) fail(format, std::forward<Args>(args)...);
}

// Throws InputError with the formatted message unless `ok`.
template <class... Args>
void check_input(bool ok, fmt::format_string<Args...> format, Args&&... args) {
  if (!ok) fail_input(format, std::forward<Args>(args)...);
}

}  // namespace nabla
