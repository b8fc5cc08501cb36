#include "tensor/storage.h"

#include <sys/mman.h>
#include <unistd.h>

#include <cstdint>

#include "tensor/backend.h"

namespace nabla {

Storage::Storage(size_t bytes, Device device, bool* cleared)
    : data_(nullptr), bytes_(bytes), device_(device) {
  if (bytes == 0) return;
  allocator_ = &backend_for(device).allocator();
  data_ = allocator_->allocate(bytes, cleared);
}

Storage::~Storage() {
  if (data_ != nullptr && allocator_ != nullptr) allocator_->deallocate(data_, bytes_);
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
