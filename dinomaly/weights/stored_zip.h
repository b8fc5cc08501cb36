// A zip archive whose entries are stored uncompressed, as PyTorch writes them, so that each is a part of
// the file's bytes, which are read into memory.
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "dinomaly/base/framework.h"
#include "tensor/io/mapped_file.h"

namespace dinomaly {

class StoredZip {
 public:
  struct Bytes {
    std::byte* data = nullptr;
    uint64_t size = 0;
  };

  // Lists the entries. Throws InputError naming the file unless it is a zip archive whose entries
  // lie inside it.
  explicit StoredZip(const std::filesystem::path& path);

  // Throws InputError if there is no such entry, or it is compressed or encrypted (so nothing is ever larger
  // than the file). With `verify` its checksum is checked too.
  Bytes get(const std::string& name, bool verify = false) const;
  bool contains(const std::string& name) const { return entries_.contains(name); }
  // Sorted.
  std::vector<std::string> names() const;
  uint64_t size_of(const std::string& name) const { return entries_.at(name).size; }
  const std::shared_ptr<const MappedFile>& file() const { return file_; }

 private:
  struct Entry {
    uint64_t begin = 0, size = 0;
    uint32_t crc = 0;
    bool stored = true;
  };
  void add_current_entry(void* archive);

  std::string source_;
  std::shared_ptr<const MappedFile> file_;
  std::map<std::string, Entry> entries_;
};

}  // namespace dinomaly
