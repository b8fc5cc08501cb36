#include "tensor/io/mapped_file.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <new>

#include "tensor/error.h"

namespace nabla {
namespace {

struct OpenFile {
  explicit OpenFile(const std::filesystem::path& path)
      // O_NONBLOCK: opening a pipe without a writer must not wait for one.
      : number(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK)) {
    check_input(number >= 0, "{}: {}", path.string(), std::strerror(errno));
  }
  OpenFile(const OpenFile&) = delete;
  OpenFile& operator=(const OpenFile&) = delete;
  ~OpenFile() { close(number); }

  struct stat status(const std::filesystem::path& path) const {
    struct stat result {};
    check_input(fstat(number, &result) == 0, "{}: {}", path.string(), std::strerror(errno));
    check_input(S_ISREG(result.st_mode), "{}: not a regular file", path.string());
    return result;
  }
  // From the start on; how many bytes there were.
  size_t read_into(std::byte* data, size_t size, const std::filesystem::path& path) const {
    size_t done = 0;
    while (done < size) {
      const ssize_t count = ::read(number, data + done, size - done);
      check_input(count >= 0 || errno == EINTR, "{}: cannot be read: {}", path.string(),
                  std::strerror(errno));
      if (count == 0) break;
      if (count > 0) done += static_cast<size_t>(count);
    }
    return done;
  }

  int number;
};

std::byte* memory_for(size_t size, int flags, int file, const std::filesystem::path& path) {
  if (size == 0) return nullptr;
  void* data = mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | flags, file, 0);
  if (data == MAP_FAILED && errno == ENOMEM) throw std::bad_alloc();
  check_input(data != MAP_FAILED, "{}: cannot be mapped: {}", path.string(), std::strerror(errno));
  return static_cast<std::byte*>(data);
}

}  // namespace

std::shared_ptr<const MappedFile> MappedFile::open(const std::filesystem::path& path) {
  const OpenFile file(path);
  const auto size = static_cast<size_t>(file.status(path).st_size);
  std::byte* data = memory_for(size, MAP_NORESERVE, file.number, path);
  return std::shared_ptr<const MappedFile>(new MappedFile(data, size, true));
}

std::shared_ptr<const MappedFile> MappedFile::read(const std::filesystem::path& path) {
  const OpenFile file(path);
  const struct stat before = file.status(path);
  const auto size = static_cast<size_t>(before.st_size);
  std::byte* data = memory_for(size, MAP_ANONYMOUS, -1, path);
  std::shared_ptr<const MappedFile> result(new MappedFile(data, size, false));
  if (size > 0) madvise(data, size, MADV_HUGEPAGE);
  const size_t count = file.read_into(data, size, path);
  const struct stat after = file.status(path);
  const bool same = count == size && after.st_size == before.st_size &&
                    after.st_mtim.tv_sec == before.st_mtim.tv_sec &&
                    after.st_mtim.tv_nsec == before.st_mtim.tv_nsec;
  check_input(same, "{}: it changed while it was read", path.string());
  return result;
}

std::shared_ptr<const MappedFile> MappedFile::copy_of(std::span<const std::byte> bytes) {
  std::byte* data = memory_for(bytes.size(), MAP_ANONYMOUS, -1, "bytes in memory");
  if (!bytes.empty()) std::memcpy(data, bytes.data(), bytes.size());
  return std::shared_ptr<const MappedFile>(new MappedFile(data, bytes.size(), false));
}

MappedFile::~MappedFile() {
  if (data_ != nullptr) munmap(data_, size_);
}

}  // namespace nabla
