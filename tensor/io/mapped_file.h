// Memory-mapped files: read on demand by the system, never copied.
#pragma once

#include <cstddef>
#include <filesystem>
#include <memory>

namespace nabla {

// A private mapping of a whole file: writing to it changes this process's pages only. The file must not
// shrink while it is mapped (replacing it by a rename is safe).
class MappedFile {
 public:
  // Throws InputError naming the path and the system's reason; only regular files are accepted.
  static std::shared_ptr<const MappedFile> open(const std::filesystem::path& path);
  ~MappedFile();
  MappedFile(const MappedFile&) = delete;
  MappedFile& operator=(const MappedFile&) = delete;

  // Page aligned; null if the file is empty.
  std::byte* data() const { return data_; }
  size_t size() const { return size_; }

 private:
  MappedFile(std::byte* data, size_t size) : data_(data), size_(size) {}
  std::byte* data_;
  size_t size_;
};

}  // namespace nabla
