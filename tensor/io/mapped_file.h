// Whole files as memory: mapped, so that the system reads on demand and nothing is copied, or read.
#pragma once

#include <cstddef>
#include <filesystem>
#include <memory>
#include <span>

namespace nabla {

// Writing to the memory changes this process's pages only.
class MappedFile {
 public:
  // A mapping. The file must neither shrink nor be written to while it is mapped (replacing it by a rename is safe).
  // Throws InputError naming the path and the system's reason; only regular files are accepted.
  static std::shared_ptr<const MappedFile> open(const std::filesystem::path& path);
  // Memory of its own: what becomes of the file afterwards changes nothing. Also throws InputError where the file
  // changes while it is read, and std::bad_alloc.
  static std::shared_ptr<const MappedFile> read(const std::filesystem::path& path);
  // The bytes of a file that is in memory already, copied.
  static std::shared_ptr<const MappedFile> copy_of(std::span<const std::byte> bytes);
  ~MappedFile();
  MappedFile(const MappedFile&) = delete;
  MappedFile& operator=(const MappedFile&) = delete;

  // Page aligned; null if the file is empty.
  std::byte* data() const { return data_; }
  size_t size() const { return size_; }
  // Whether it was mapped, so that its pages may be given back (Storage::evict()).
  bool is_mapping() const { return is_mapping_; }

 private:
  MappedFile(std::byte* data, size_t size, bool is_mapping)
      : data_(data), size_(size), is_mapping_(is_mapping) {}
  std::byte* data_;
  size_t size_;
  bool is_mapping_;
};

}  // namespace nabla
