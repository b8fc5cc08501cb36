// Storage: a block of memory on one device, freed when its last tensor goes.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <utility>

#include "tensor/device.h"

namespace nabla {

class CachingAllocator;

class Storage {
 public:
  // A block from the device's caching allocator, not cleared; `cleared`, if given, is set to whether it
  // happens to be.
  Storage(size_t bytes, Device device, bool* cleared = nullptr);
  // Memory owned elsewhere (a mapped file, a vector); `owner` is kept alive as long as the storage. `mapped`:
  // the memory is a mapping of a file.
  Storage(void* data, size_t bytes, Device device, std::shared_ptr<const void> owner, bool mapped = false)
      : data_(data), bytes_(bytes), device_(device), owner_(std::move(owner)), mapped_(mapped) {}
  ~Storage();
  Storage(const Storage&) = delete;
  Storage& operator=(const Storage&) = delete;

  void* data() const { return data_; }
  size_t bytes() const { return bytes_; }
  Device device() const { return device_; }

  // How often what lies here was changed in place, through any of the tensors that share it. Two numbers that
  // differ tell a reader that it no longer sees what it saw (autograd/tape.h). Any thread may count.
  uint64_t version() const { return version_.load(std::memory_order_relaxed); }
  void mark_written() { version_.fetch_add(1, std::memory_order_relaxed); }

  // Gives the pages of a mapped file back to the system, which reads them again when they are needed; does
  // nothing to other memory. What was written into a private mapping would be lost, so this is only for data
  // that is never written, or that is written into the file (MAP_SHARED).
  void evict() const;
  // The same for data that may have been written: only where it was not.
  void evict_unwritten() const {
    if (version() == 0) evict();
  }

 private:
  void* data_;
  size_t bytes_;
  Device device_;
  // One of the two. Allocators live as long as the program: a destructor has no device to ask for its own.
  CachingAllocator* allocator_ = nullptr;
  std::shared_ptr<const void> owner_;
  bool mapped_ = false;
  std::atomic<uint64_t> version_ = 0;
};

}  // namespace nabla
