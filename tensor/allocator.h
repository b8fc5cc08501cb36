// A caching allocator: freed blocks are kept by rounded size and reused, so that in the steady state a
// training step requests no memory from the system.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

namespace nabla {

// Where the blocks come from: the system's heap, or a GPU driver.
class MemorySource {
 public:
  virtual ~MemorySource() = default;
  // Memory of `bytes`, aligned to 64; null if none is left.
  virtual void* acquire(size_t bytes) = 0;
  // Takes the block back. Where it throws, the block is gone all the same.
  virtual void release(void* block, size_t bytes) = 0;
  // Whether what acquire(bytes) gives is all zeros.
  virtual bool clears(size_t) const { return false; }
  // Bytes that acquire() could still give; SIZE_MAX if unknown until tried.
  virtual size_t available() const { return SIZE_MAX; }
  // What a user can do when acquire() fails; empty if there is no advice.
  virtual std::string advice() const { return {}; }
};

struct MemoryCounters {
  size_t live_bytes = 0;    // handed out now
  size_t cached_bytes = 0;  // free, kept for reuse
  size_t peak_bytes = 0;    // the largest live_bytes since reset_peak()
  int64_t live_blocks = 0;
  int64_t system_calls = 0;  // calls of the source
};

// Thread safe. Work on one backend is ordered by its one stream, so a block may be reused as soon as it is
// freed on the host.
class CachingAllocator {
 public:
  explicit CachingAllocator(std::unique_ptr<MemorySource> source) : source_(std::move(source)) {}
  ~CachingAllocator();
  CachingAllocator(const CachingAllocator&) = delete;
  CachingAllocator& operator=(const CachingAllocator&) = delete;

  // At least `bytes` bytes, 64-aligned, not cleared. On exhaustion the cache is flushed (not while work is being
  // recorded) and the request repeated; then throws OutOfMemory naming the request and the counters, or InputError if the
  // source has advice.
  // `cleared`, if given, is set to whether the bytes are already zero.
  void* allocate(size_t bytes, bool* cleared = nullptr);
  // Gives back what allocate(bytes) returned. For destructors: asks nothing of the source, and where there is no memory
  // to remember the block by, it is lost.
  void deallocate(void* block, size_t bytes) noexcept;
  // Bytes still available, in the source and in the cache; SIZE_MAX if unknown until tried.
  size_t available() const;
  // Returns every cached block to the source. Throws what the source throws; then some are still cached.
  void release_cached();

  // --- Memory of recorded work, which is replayed at the same addresses: blocks handed out between
  // begin_reserve() and end_reserve() are not reused elsewhere, freed or not, until release_reserve(). Blocks
  // freed in between join the reserve. Only one reserve is filled at a time. Between pause_reserve() and
  // resume_reserve() blocks are handed out and freed as without it. From begin_reserve() to end_reserve() the source
  // gets no block back: a GPU that records work does not allow it.
  int64_t begin_reserve();
  void pause_reserve();
  void resume_reserve();
  void end_reserve();
  void release_reserve(int64_t reserve) noexcept;

  MemoryCounters counters() const;
  void reset_peak();

  // The block size that serves a request: powers of two in sixteen steps each, so that of large blocks at
  // most a sixteenth is wasted.
  static size_t rounded(size_t bytes);

 private:
  std::unique_ptr<MemorySource> source_;
  mutable std::mutex mutex_;
  using Blocks = std::map<size_t, std::vector<void*>>;  // by rounded size

  // A block of this size that is free, or null.
  void* take_free(size_t size);
  // From the source, if need be after a flush; throws where there is none.
  void* acquire(size_t size);
  void flush();
  // Remembers a free block.
  void keep(Blocks& blocks, size_t size, void* block) noexcept;

  Blocks free_;
  std::map<int64_t, Blocks> reserves_;   // their free blocks
  std::map<void*, int64_t> reserve_of_;  // of handed out blocks
  int64_t recording_ = 0;                // the reserve between its begin and end; 0: none
  int64_t filling_ = 0;                  // the same, or 0 while it is paused
  int64_t reserves_made_ = 0;
  MemoryCounters counters_;
};

}  // namespace nabla
