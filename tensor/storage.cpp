#include "tensor/storage.h"

#include "tensor/kernels.h"

namespace dinomaly {

Storage::Storage(size_t bytes, Device device)
    : data_(bytes == 0 ? nullptr : kernels_for(device).allocator().allocate(bytes)),
      bytes_(bytes),
      device_(device) {}

Storage::~Storage() {
  if (owner_ == nullptr && data_ != nullptr) kernels_for(device_).allocator().deallocate(data_, bytes_);
}

}  // namespace dinomaly
