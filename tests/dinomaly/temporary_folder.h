// A folder of its own for a test that writes files; gone with the object.
#pragma once

#include <filesystem>
#include <string>

#include "dinomaly/files.h"
#include "tensor/error.h"

namespace dinomaly {

class TemporaryFolder {
 public:
  TemporaryFolder() : path_(temporary_name(std::filesystem::temp_directory_path() / "dinomaly-test")) {
    std::filesystem::create_directories(path_);
  }
  ~TemporaryFolder() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  TemporaryFolder(const TemporaryFolder&) = delete;
  TemporaryFolder& operator=(const TemporaryFolder&) = delete;

  const std::filesystem::path& path() const { return path_; }
  std::filesystem::path operator/(const std::string& name) const { return path_ / name; }

 private:
  std::filesystem::path path_;
};

// The message of the InputError that `call` throws; empty if it throws none.
template <class Call>
std::string input_error(Call&& call) {
  try {
    call();
  } catch (const InputError& error) {
    return error.what();
  }
  return "";
}

// One line that names `part`, as everything a user is told must be.
inline bool one_line_with(const std::string& message, const std::string& part) {
  return message.find(part) != std::string::npos && message.find('\n') == std::string::npos;
}

}  // namespace dinomaly
