// Whether a file is still the one that was looked at.
#pragma once

#include <cstdint>
#include <filesystem>

namespace dinomaly {

// One content of a file, without reading it. Another content has another version, unless it has the same size and was
// written in place within the same step of the file system's clock.
struct FileVersion {
  uint64_t inode = 0;              // 0: there is no such file
  int64_t size = 0, modified = 0;  // bytes; nanoseconds
  bool operator==(const FileVersion&) const = default;
};
FileVersion file_version(const std::filesystem::path& path);

}  // namespace dinomaly
