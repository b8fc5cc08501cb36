// Output files that appear whole or not at all.
#pragma once

#include <cstddef>
#include <filesystem>

namespace nabla {

// Writes to a temporary name in the target's folder; commit() syncs and renames it to the target. Without
// commit() (an exception, say) the temporary file is removed and the target stays as it was.
// All functions throw InputError naming the target and the system's reason.
class AtomicFile {
 public:
  explicit AtomicFile(const std::filesystem::path& target);
  ~AtomicFile();
  AtomicFile(const AtomicFile&) = delete;
  AtomicFile& operator=(const AtomicFile&) = delete;

  void write(const void* data, size_t bytes);
  void commit();

 private:
  [[noreturn]] void fail_with_errno() const;

  std::filesystem::path target_, temporary_;
  int descriptor_ = -1;
};

}  // namespace nabla
