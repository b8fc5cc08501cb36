#include "backends/cpu/cpu_kernels.h"

#include <sys/mman.h>

#include <cstdlib>

namespace dinomaly {

namespace {

// The heap. Large blocks begin on a huge page and ask for them: fewer page faults and TLB misses.
class HeapSource final : public MemorySource {
 public:
  void* acquire(size_t bytes) override {
    constexpr size_t huge_page = size_t{1} << 21;
    const size_t alignment = bytes >= 2 * huge_page ? huge_page : 64;
    void* block = std::aligned_alloc(alignment, (bytes + alignment - 1) / alignment * alignment);
    if (block != nullptr && alignment == huge_page) madvise(block, bytes, MADV_HUGEPAGE);
    return block;
  }
  void release(void* block, size_t) override { std::free(block); }
};

}  // namespace

CpuKernels::CpuKernels() : allocator_(std::make_unique<HeapSource>()) {}

}  // namespace dinomaly
