// Output files that appear whole or not at all.
#pragma once

#include <sys/types.h>

#include <cstddef>
#include <filesystem>

namespace nabla {

// What is written to when a user names a file.
struct OutputPlace {
  std::filesystem::path file;  // where symbolic links end; it need not exist
  bool replaced = true;        // false: a device or pipe, or what standard output goes to: written as it is
  bool is_stdout = false;
  mode_t mode = 0;  // permissions of the file that is there; 0: there is none
};

// Throws InputError naming the target for a folder, a socket, a loop of links, and a file that may not be written:
// renaming another one to its name would replace it all the same.
OutputPlace output_place(const std::filesystem::path& target);

// Writes to a temporary name in the target's folder; commit() syncs and renames it to the target, which keeps its
// permissions. A symbolic link stays and the file it leads to is replaced. Without commit() (an exception, say) the
// temporary file is removed and the target stays as it was. A device or pipe, and standard output under any name, is
// written to directly instead.
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

  std::filesystem::path target_;
  OutputPlace place_;
  std::filesystem::path temporary_;  // empty where it is written directly
  int descriptor_ = -1;
};

}  // namespace nabla
