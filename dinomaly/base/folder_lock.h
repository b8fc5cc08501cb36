// A folder that one program at a time writes into.
#pragma once

#include <filesystem>

namespace dinomaly {

// Makes the folder if it is missing (make_folder) and locks it (flock) until the end of the object or of the
// program, however that ends: nothing is left behind. Throws InputError naming the folder where another program has
// locked it. On file systems without such locks it locks nothing.
class FolderLock {
 public:
  explicit FolderLock(const std::filesystem::path& folder);
  ~FolderLock();
  FolderLock(const FolderLock&) = delete;
  FolderLock& operator=(const FolderLock&) = delete;

 private:
  int descriptor_ = -1;
};

}  // namespace dinomaly
