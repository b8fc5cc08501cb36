#include "dinomaly/base/file_version.h"

#include <sys/stat.h>

namespace dinomaly {

FileVersion file_version(const std::filesystem::path& path) {
  struct stat found {};
  if (stat(path.c_str(), &found) != 0) return {};
  return {found.st_ino, found.st_size, found.st_mtim.tv_sec * int64_t{1000000000} + found.st_mtim.tv_nsec};
}

}  // namespace dinomaly
