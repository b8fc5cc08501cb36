// Storage: a block of memory on one device, freed when its last tensor goes.
#pragma once

#include <cstddef>
#include <memory>
#include <set>
#include <utility>

#include "tensor/device.h"

namespace nabla {

class Storage {
 public:
  // A block from the device's caching allocator, not cleared; `cleared`, where given, tells whether it
  // happens to be.
  Storage(size_t bytes, Device device, bool* cleared = nullptr);
  // Memory owned by somebody else (a mapped file, a vector); `owner` is kept alive as long as the storage.
  // `mapped`: the memory is a mapping of a file.
  Storage(void* data, size_t bytes, Device device, std::shared_ptr<const void> owner, bool mapped = false)
      : data_(data), bytes_(bytes), device_(device), owner_(std::move(owner)), mapped_(mapped) {}
  ~Storage();
  Storage(const Storage&) = delete;
  Storage& operator=(const Storage&) = delete;

  void* data() const { return data_; }
  size_t bytes() const { return bytes_; }
  Device device() const { return device_; }

  // Gives the pages of a mapped file back to the system, which reads them again when they are needed; does
  // nothing to other memory. What was written into a private mapping would be lost: only for data that nobody
  // writes, or that is written into the file (MAP_SHARED).
  void evict() const;

 private:
  void* data_;
  size_t bytes_;
  Device device_;
  std::shared_ptr<const void> owner_;  // null: the allocator's
  bool mapped_ = false;
};

// Sees which storages get a further handle in this thread while it lives: copying a function object lists
// what it has captured. The innermost one sees.
class StorageWatcher {
 public:
  StorageWatcher() : before_(watching_) { watching_ = this; }
  ~StorageWatcher() { watching_ = before_; }
  StorageWatcher(const StorageWatcher&) = delete;
  StorageWatcher& operator=(const StorageWatcher&) = delete;

  const std::set<const Storage*>& seen() const { return seen_; }
  static void notify(const Storage* storage) {
    if (watching_ != nullptr && storage != nullptr) watching_->seen_.insert(storage);
  }

 private:
  static constinit thread_local StorageWatcher* watching_;

  StorageWatcher* before_;
  std::set<const Storage*> seen_;
};

// A tensor's share in a storage, or in none: a shared_ptr whose copying can be watched.
class StorageHandle {
 public:
  StorageHandle() = default;
  StorageHandle(std::shared_ptr<Storage> storage) : storage_(std::move(storage)) {}
  StorageHandle(const StorageHandle& other) : storage_(other.storage_) {
    StorageWatcher::notify(storage_.get());
  }
  StorageHandle& operator=(const StorageHandle& other) {
    storage_ = other.storage_;
    StorageWatcher::notify(storage_.get());
    return *this;
  }
  StorageHandle(StorageHandle&&) = default;
  StorageHandle& operator=(StorageHandle&&) = default;

  const std::shared_ptr<Storage>& shared() const { return storage_; }

 private:
  std::shared_ptr<Storage> storage_;
};

}  // namespace nabla
