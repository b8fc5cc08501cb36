#include "backends/cpu/cpu_kernels.h"

#include <sys/mman.h>

#include <cstdint>
#include <cstdlib>

namespace nabla {

namespace {

// Small blocks come from the heap. Large ones are mapped, in huge pages where the system has them, so that a
// released one goes back to the system and leaves no hole in the heap.
class SystemSource final : public MemorySource {
 public:
  void* acquire(size_t bytes) override {
    if (bytes < smallest_mapped) return std::aligned_alloc(64, (bytes + 63) / 64 * 64);
    const size_t size = mapped(bytes), slack = huge_page;
    void* region = mmap(nullptr, size + slack, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (region == MAP_FAILED) return nullptr;
    char* const begin = static_cast<char*>(region);
    const size_t before = (slack - reinterpret_cast<uintptr_t>(begin) % slack) % slack;
    if (before > 0) munmap(begin, before);
    munmap(begin + before + size, slack - before);
    if (size >= 2 * huge_page) madvise(begin + before, size, MADV_HUGEPAGE);
    return begin + before;
  }
  void release(void* block, size_t bytes) override {
    if (bytes < smallest_mapped)
      std::free(block);
    else
      munmap(block, mapped(bytes));
  }
  bool clears(size_t bytes) const override { return bytes >= smallest_mapped; }

 private:
  static constexpr size_t huge_page = size_t{1} << 21, smallest_mapped = size_t{1} << 19;
  static size_t mapped(size_t bytes) {
    constexpr size_t page = 4096;
    return (bytes + page - 1) / page * page;
  }
};

}  // namespace

CpuKernels::CpuKernels() : allocator_(std::make_unique<SystemSource>()) {}

void CpuKernels::trim() {
  cpu::release_packed_weights();
  allocator_.release_cached();
}

}  // namespace nabla
