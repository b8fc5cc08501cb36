#include "tensor/io/atomic_file.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstring>

#include "tensor/error.h"

namespace nabla {

AtomicFile::AtomicFile(const std::filesystem::path& target) : target_(target) {
  static std::atomic<int> counter = 0;
  temporary_ = target;
  temporary_ += fmt::format(".{}-{}.tmp", getpid(), counter++);
  descriptor_ = ::open(temporary_.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
  if (descriptor_ < 0) fail_with_errno();
}

AtomicFile::~AtomicFile() {
  if (descriptor_ < 0) return;
  close(descriptor_);
  unlink(temporary_.c_str());
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
  if (fsync(descriptor_) != 0) fail_with_errno();
  if (rename(temporary_.c_str(), target_.c_str()) != 0) fail_with_errno();
  close(descriptor_);
  descriptor_ = -1;
  // Syncing the folder makes the rename durable; a file system that cannot sync one is no failure.
  const std::filesystem::path folder = target_.has_parent_path() ? target_.parent_path() : ".";
  const int folder_descriptor = ::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (folder_descriptor < 0) return;
  fsync(folder_descriptor);
  close(folder_descriptor);
}

void AtomicFile::fail_with_errno() const {
  fail_input("{}: cannot be written: {}", target_.string(), std::strerror(errno));
}

}  // namespace nabla
