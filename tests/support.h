// What tests of several folders share.
#pragma once

#include <fmt/core.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <optional>
#include <stdexcept>
#include <string>

#include "tensor/error.h"
#include "tensor/tensor.h"

namespace nabla {

// Counted and shown by scripts/test.sh.
inline void skip(const std::string& why) { fmt::print("SKIPPED: {}\n", why); }

// Whether a GPU can be used; if not, says that `what` is skipped.
inline bool has_cuda(const std::string& what) {
  const bool found = [] {
    try {
      Tensor::empty({1}, Dtype::u8, Device::cuda());
      return true;
    } catch (const Error&) {
      return false;
    }
  }();
  if (!found) skip("no CUDA device, or built without CUDA: " + what);
  return found;
}

// The folder of the sources, or of those of their files that tests read: where DINOMALY_SOURCE_DIR points when a test runs, if it is set,
// so that a test can run on a machine that has never seen the sources.
inline std::filesystem::path source_folder() {
  const char* const elsewhere = std::getenv("DINOMALY_SOURCE_DIR");
  return elsewhere != nullptr ? elsewhere : DINOMALY_SOURCE_DIR;
}

// The folder of reference bundles and real images that may stand beside the sources (or where
// DINOMALY_SHARED points); none where it is absent.
inline std::optional<std::filesystem::path> shared_folder() {
  const char* override_path = std::getenv("DINOMALY_SHARED");
  const std::filesystem::path path =
      override_path ? std::filesystem::path(override_path) : source_folder() / "../shared";
  if (!std::filesystem::is_directory(path)) return std::nullopt;
  return path;
}

// An empty folder that goes with the object.
class TemporaryFolder {
 public:
  TemporaryFolder() {
    std::string name = (std::filesystem::temp_directory_path() / "dinomaly-test-XXXXXX").string();
    if (mkdtemp(name.data()) == nullptr) throw std::runtime_error("cannot make a temporary folder");
    path_ = name;
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

// While it lives, what a folder's permissions forbid is forbidden to root, too.
class Unprivileged {
 public:
  Unprivileged() : is_root_(geteuid() == 0) {
    if (is_root_ && seteuid(65534) != 0) throw std::runtime_error("cannot become another user");
  }
  ~Unprivileged() {
    if (is_root_ && seteuid(0) != 0) std::abort();
  }
  Unprivileged(const Unprivileged&) = delete;
  Unprivileged& operator=(const Unprivileged&) = delete;

 private:
  bool is_root_;
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

inline bool contains(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

// One line that names `part`, as every message to a user must be.
inline bool one_line_with(const std::string& message, const std::string& part) {
  return contains(message, part) && !contains(message, "\n");
}

}  // namespace nabla
