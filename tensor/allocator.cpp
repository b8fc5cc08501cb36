#include "tensor/allocator.h"

#include <algorithm>
#include <bit>
#include <new>

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

CachingAllocator::~CachingAllocator() {
  while (!free_.empty()) {
    try {
      flush();
    } catch (...) {  // of a device that has failed; each time one block less is left
    }
  }
}

// A block leaves the list before the source is asked, which may throw.
void CachingAllocator::flush() {
  for (auto& [size, blocks] : free_) {
    while (!blocks.empty()) {
      void* block = blocks.back();
      blocks.pop_back();
      counters_.cached_bytes -= size;
      permit(block, size);
      source_->release(block, size);
    }
  }
  free_.clear();
}

void* CachingAllocator::acquire(size_t size) {
  ++counters_.system_calls;
  void* block = source_->acquire(size);
  if (block == nullptr && recording_ == 0) {
    flush();
    block = source_->acquire(size);
  }
  if (block != nullptr) return block;
  const std::string advice = source_->advice();
  check_input(advice.empty(), "out of memory: {} bytes requested, {} bytes live, peak {}; {}", size,
              counters_.live_bytes, counters_.peak_bytes, advice);
  throw OutOfMemory(fmt::format("out of memory: {} bytes requested, {} bytes live, peak {}", size,
                                counters_.live_bytes, counters_.peak_bytes));
}

void* CachingAllocator::allocate(size_t bytes, bool* cleared) {
  const size_t size = rounded(bytes);
  std::lock_guard lock(mutex_);
  void* block = take_free(size);
  if (cleared != nullptr) *cleared = block == nullptr && source_->clears(size);
  if (block == nullptr) block = acquire(size);
  if (filling_ != 0) reserve_of_[block] = filling_;
  counters_.live_bytes += size;
  counters_.live_blocks += 1;
  counters_.peak_bytes = std::max(counters_.peak_bytes, counters_.live_bytes);
  permit(block, bytes);
  forbid(static_cast<char*>(block) + bytes, size - bytes);
  return block;
}

void CachingAllocator::keep(Blocks& blocks, size_t size, void* block) noexcept {
  try {
    blocks[size].push_back(block);
    counters_.cached_bytes += size;
  } catch (const std::bad_alloc&) {  // lost, as there is no room for its address
  }
}

void CachingAllocator::deallocate(void* block, size_t bytes) noexcept {
  const size_t size = rounded(bytes);
  std::lock_guard lock(mutex_);
  forbid(block, size);
  int64_t reserve = filling_;
  if (const auto found = reserve_of_.find(block); found != reserve_of_.end()) {
    reserve = found->second;
    reserve_of_.erase(found);
  }
  counters_.live_bytes -= size;
  counters_.live_blocks -= 1;
  const auto joined = reserves_.find(reserve);
  keep(joined != reserves_.end() ? joined->second : free_, size, block);
}

size_t CachingAllocator::available() const {
  std::lock_guard lock(mutex_);
  const size_t more = source_->available();
  return more == SIZE_MAX ? more : more + counters_.cached_bytes;
}

void CachingAllocator::release_cached() {
  std::lock_guard lock(mutex_);
  if (recording_ == 0) flush();
}

int64_t CachingAllocator::begin_reserve() {
  std::lock_guard lock(mutex_);
  check(recording_ == 0, "allocator: a reserve is being filled already");
  const int64_t reserve = ++reserves_made_;
  reserves_[reserve];
  return recording_ = filling_ = reserve;
}

void CachingAllocator::pause_reserve() {
  std::lock_guard lock(mutex_);
  filling_ = 0;
}

void CachingAllocator::resume_reserve() {
  std::lock_guard lock(mutex_);
  filling_ = recording_;
}

void CachingAllocator::end_reserve() {
  std::lock_guard lock(mutex_);
  recording_ = filling_ = 0;
}

void CachingAllocator::release_reserve(int64_t reserve) noexcept {
  std::lock_guard lock(mutex_);
  const auto found = reserves_.find(reserve);
  if (found == reserves_.end()) return;
  for (const auto& [size, blocks] : found->second) {
    for (void* block : blocks) {
      counters_.cached_bytes -= size;
      keep(free_, size, block);
    }
  }
  reserves_.erase(found);
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
