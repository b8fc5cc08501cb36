#include "tensor/io/atomic_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <system_error>

#include "tensor/error.h"

namespace nabla {

namespace {

namespace fs = std::filesystem;

constexpr int most_links = 40;  // as Linux follows

// The end of a chain of symbolic links, which need not exist.
fs::path end_of_links(const fs::path& target) {
  fs::path path = target;
  std::error_code error;
  for (int i = 0; fs::is_symlink(path, error); ++i) {
    check_input(i < most_links, "{}: cannot be written: its links lead nowhere", target.string());
    path = path.parent_path() / fs::read_symlink(path, error);
  }
  return path;
}

}  // namespace

OutputPlace output_place(const fs::path& target) {
  const std::string name = target.string();
  struct stat found {};
  struct stat output {};
  if (stat(target.c_str(), &found) != 0) return {end_of_links(target)};
  check_input(!S_ISDIR(found.st_mode), "{}: cannot be written: it is a folder", name);
  check_input(!S_ISSOCK(found.st_mode), "{}: cannot be written: it is a socket", name);
  const mode_t mode = found.st_mode & 07777;
  const bool may_write = (mode & 0222) != 0 && access(target.c_str(), W_OK) == 0;
  check_input(may_write, "{}: cannot be written: it is read-only", name);
  const bool is_stdout =
      fstat(STDOUT_FILENO, &output) == 0 && output.st_dev == found.st_dev && output.st_ino == found.st_ino;
  const bool replaced = S_ISREG(found.st_mode) && !is_stdout;
  return {replaced ? end_of_links(target) : target, replaced, is_stdout, mode};
}

AtomicFile::AtomicFile(const fs::path& target) : target_(target), place_(output_place(target)) {
  if (place_.replaced) {
    static std::atomic<int> counter = 0;
    temporary_ = place_.file;
    temporary_ += fmt::format(".{}-{}.tmp", getpid(), counter++);
    descriptor_ = ::open(temporary_.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
  } else if (place_.is_stdout) {
    std::fflush(stdout);  // what was printed comes first
    descriptor_ = fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, 0);
  } else {
    descriptor_ = ::open(target.c_str(), O_WRONLY | O_CLOEXEC);
  }
  if (descriptor_ < 0) fail_with_errno();
}

AtomicFile::~AtomicFile() {
  if (descriptor_ < 0) return;
  close(descriptor_);
  if (!temporary_.empty()) unlink(temporary_.c_str());
}

void AtomicFile::write(const void* data, size_t bytes) {
  constexpr size_t largest_write = size_t{1} << 30;  // one call writes less than 2^31 bytes
  const char* next = static_cast<const char*>(data);
  while (bytes > 0) {
    const ssize_t written = ::write(descriptor_, next, std::min(bytes, largest_write));
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) fail_with_errno();
    next += written;
    bytes -= static_cast<size_t>(written);
  }
}

void AtomicFile::commit() {
  check(descriptor_ >= 0, "{}: already committed", target_.string());
  if (place_.replaced) {
    // A file system without permissions has none to keep.
    if (place_.mode != 0) fchmod(descriptor_, place_.mode);
    if (fsync(descriptor_) != 0) fail_with_errno();
    if (rename(temporary_.c_str(), place_.file.c_str()) != 0) fail_with_errno();
  }
  close(descriptor_);
  descriptor_ = -1;
  if (!place_.replaced) return;
  // Syncing the folder makes the rename durable; a file system that cannot sync one is no failure.
  const fs::path folder = place_.file.has_parent_path() ? place_.file.parent_path() : ".";
  const int folder_descriptor = ::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (folder_descriptor < 0) return;
  fsync(folder_descriptor);
  close(folder_descriptor);
}

void AtomicFile::fail_with_errno() const {
  fail_input("{}: cannot be written: {}", target_.string(), std::strerror(errno));
}

}  // namespace nabla
