#include "tensor/allocator.h"

#include <algorithm>
#include <bit>

#include "tensor/error.h"

// Cached memory stays allocated in the eyes of AddressSanitizer: it must be told what nobody may touch.
#ifdef __SANITIZE_ADDRESS__
#include <sanitizer/asan_interface.h>
#endif

namespace dinomaly {

namespace {

void forbid([[maybe_unused]] void* begin, [[maybe_unused]] size_t bytes) {
#ifdef __SANITIZE_ADDRESS__
  __asan_poison_memory_region(begin, bytes);
#endif
}

void permit([[maybe_unused]] void* begin, [[maybe_unused]] size_t bytes) {
#ifdef __SANITIZE_ADDRESS__
  __asan_unpoison_memory_region(begin, bytes);
#endif
}

void release_all(MemorySource& source, size_t bytes, const std::vector<void*>& blocks) {
  for (void* block : blocks) {
    permit(block, bytes);
    source.release(block, bytes);
  }
}

}  // namespace

size_t CachingAllocator::rounded(size_t bytes) {
  constexpr size_t smallest = 256;
  if (bytes <= smallest) return smallest;
  const size_t step = std::max<size_t>(64, std::bit_floor(bytes - 1) / 16);
  return (bytes + step - 1) / step * step;
}

void* CachingAllocator::allocate(size_t bytes) {
  const size_t size = rounded(bytes);
  std::lock_guard lock(mutex_);
  void* block = nullptr;
  if (auto found = free_.find(size); found != free_.end() && !found->second.empty()) {
    block = found->second.back();
    found->second.pop_back();
    counters_.cached_bytes -= size;
  } else {
    ++counters_.system_calls;
    block = source_->acquire(size);
    if (block == nullptr) {
      for (auto& [cached_size, blocks] : free_) {
        release_all(*source_, cached_size, blocks);
        blocks.clear();
      }
      counters_.cached_bytes = 0;
      block = source_->acquire(size);
    }
    if (block == nullptr) {
      const std::string advice = source_->advice();
      check_input(advice.empty(), "out of memory: {} bytes asked for, {} bytes live, peak {}; {}", size,
                  counters_.live_bytes, counters_.peak_bytes, advice);
      fail("out of memory: {} bytes asked for, {} bytes live, peak {}", size, counters_.live_bytes,
           counters_.peak_bytes);
    }
  }
  counters_.live_bytes += size;
  counters_.live_blocks += 1;
  counters_.peak_bytes = std::max(counters_.peak_bytes, counters_.live_bytes);
  permit(block, bytes);
  forbid(static_cast<char*>(block) + bytes, size - bytes);
  return block;
}

void CachingAllocator::deallocate(void* block, size_t bytes) {
  const size_t size = rounded(bytes);
  std::lock_guard lock(mutex_);
  forbid(block, size);
  free_[size].push_back(block);
  counters_.live_bytes -= size;
  counters_.live_blocks -= 1;
  counters_.cached_bytes += size;
}

size_t CachingAllocator::available() const {
  std::lock_guard lock(mutex_);
  const size_t more = source_->available();
  return more == SIZE_MAX ? more : more + counters_.cached_bytes;
}

void CachingAllocator::release_cached() {
  std::lock_guard lock(mutex_);
  for (const auto& [size, blocks] : free_) release_all(*source_, size, blocks);
  free_.clear();
  counters_.cached_bytes = 0;
}

MemoryCounters CachingAllocator::counters() const {
  std::lock_guard lock(mutex_);
  return counters_;
}

void CachingAllocator::reset_peak() {
  std::lock_guard lock(mutex_);
  counters_.peak_bytes = counters_.live_bytes;
}

}  // namespace dinomaly
