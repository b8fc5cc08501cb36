#include "tensor/allocator.h"

#include <algorithm>
#include <bit>

#include "tensor/error.h"

// To AddressSanitizer cached memory is still allocated, so it has to be marked as off limits.
#ifdef __SANITIZE_ADDRESS__
#include <sanitizer/asan_interface.h>
#endif

namespace nabla {

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

void* CachingAllocator::take_free(size_t size) {
  const auto take = [&](Blocks& blocks) -> void* {
    const auto found = blocks.find(size);
    if (found == blocks.end() || found->second.empty()) return nullptr;
    void* block = found->second.back();
    found->second.pop_back();
    counters_.cached_bytes -= size;
    return block;
  };
  void* block = filling_ != 0 ? take(reserves_[filling_]) : nullptr;
  return block != nullptr ? block : take(free_);
}

void* CachingAllocator::allocate(size_t bytes, bool* cleared) {
  const size_t size = rounded(bytes);
  std::lock_guard lock(mutex_);
  void* block = take_free(size);
  if (cleared != nullptr) *cleared = block == nullptr && source_->clears(size);
  if (block == nullptr) {
    ++counters_.system_calls;
    block = source_->acquire(size);
    if (block == nullptr) {
      for (auto& [cached_size, blocks] : free_) {
        release_all(*source_, cached_size, blocks);
        counters_.cached_bytes -= cached_size * blocks.size();
        blocks.clear();
      }
      block = source_->acquire(size);
    }
    if (block == nullptr) {
      const std::string advice = source_->advice();
      check_input(advice.empty(), "out of memory: {} bytes requested, {} bytes live, peak {}; {}", size,
                  counters_.live_bytes, counters_.peak_bytes, advice);
      throw OutOfMemory(fmt::format("out of memory: {} bytes requested, {} bytes live, peak {}", size,
                                    counters_.live_bytes, counters_.peak_bytes));
    }
  }
  if (filling_ != 0) reserve_of_[block] = filling_;
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
  int64_t reserve = filling_;
  if (const auto found = reserve_of_.find(block); found != reserve_of_.end()) {
    reserve = found->second;
    reserve_of_.erase(found);
  }
  (reserve != 0 ? reserves_[reserve] : free_)[size].push_back(block);
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
  for (const auto& [size, blocks] : free_) {
    release_all(*source_, size, blocks);
    counters_.cached_bytes -= size * blocks.size();
  }
  free_.clear();
}

int64_t CachingAllocator::begin_reserve() {
  std::lock_guard lock(mutex_);
  check(filling_ == 0, "allocator: a reserve is being filled already");
  return filling_ = ++reserves_made_;
}

void CachingAllocator::end_reserve() {
  std::lock_guard lock(mutex_);
  filling_ = 0;
}

void CachingAllocator::resume_reserve(int64_t reserve) {
  std::lock_guard lock(mutex_);
  check(filling_ == 0, "allocator: a reserve is being filled already");
  filling_ = reserve;
}

void CachingAllocator::release_reserve(int64_t reserve) {
  std::lock_guard lock(mutex_);
  for (const auto& [size, blocks] : reserves_[reserve]) {
    free_[size].insert(free_[size].end(), blocks.begin(), blocks.end());
  }
  reserves_.erase(reserve);
  std::erase_if(reserve_of_, [&](const auto& entry) { return entry.second == reserve; });
}

MemoryCounters CachingAllocator::counters() const {
  std::lock_guard lock(mutex_);
  return counters_;
}

void CachingAllocator::reset_peak() {
  std::lock_guard lock(mutex_);
  counters_.peak_bytes = counters_.live_bytes;
}

}  // namespace nabla
