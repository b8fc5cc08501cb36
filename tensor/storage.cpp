#include "tensor/storage.h"

#include <sys/mman.h>
#include <unistd.h>

#include <cstdint>

#include "tensor/backend.h"

namespace nabla {

Storage::Storage(size_t bytes, Device device, bool* cleared)
    : data_(bytes == 0 ? nullptr : backend_for(device).allocator().allocate(bytes, cleared)),
      bytes_(bytes),
      device_(device) {}

Storage::~Storage() {
  if (owner_ == nullptr && data_ != nullptr) backend_for(device_).allocator().deallocate(data_, bytes_);
}

void Storage::evict() const {
  if (!mapped_) return;
  // Whole pages only: the first and the last may hold something else, too.
  const uintptr_t page = static_cast<uintptr_t>(sysconf(_SC_PAGESIZE));
  const uintptr_t begin = (reinterpret_cast<uintptr_t>(data_) + page - 1) / page * page;
  const uintptr_t end = (reinterpret_cast<uintptr_t>(data_) + bytes_) / page * page;
  if (begin < end) madvise(reinterpret_cast<void*>(begin), end - begin, MADV_DONTNEED);
}

}  // namespace nabla
