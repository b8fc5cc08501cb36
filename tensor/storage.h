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

  // Gives the pages of a mapped file back to the system, which reads them again when they are needed; does
  // nothing to other memory. What was written into a private mapping would be lost, so this is only for data
  // that is never written, or that is written into the file (MAP_SHARED).
  void evict() const;

 private:
  void* data_;
  size_t bytes_;
  Device device_;
  std::shared_ptr<const void> owner_;  // null: the allocator's
  bool mapped_ = false;
};

// While it lives, notes which storages get another handle in this thread: copying a function object lists
// what it has captured. Only the innermost watcher is notified.
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

// A tensor's reference to a storage, or to none: a shared_ptr whose copying can be watched.
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
