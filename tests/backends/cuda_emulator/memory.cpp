#include "tests/backends/cuda_emulator/memory.h"

#include <fmt/core.h>
#include <sys/mman.h>

#include <algorithm>
#include <cstring>
#include <stdexcept>

#include "tests/backends/cuda_emulator/block.h"

namespace emulator {

namespace {

constexpr int unset = 0xff, guarded = 0xfa;
constexpr size_t page = 4096;

size_t with_guards(size_t bytes, size_t guard) { return (bytes + guard - 1) / guard * guard + 2 * guard; }

}  // namespace

DeviceMemory::DeviceMemory()
    : base_(static_cast<char*>(
          mmap(nullptr, total, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0))) {
  if (base_ == MAP_FAILED) throw std::runtime_error("no addresses for the emulated GPU's memory");
}

void DeviceMemory::protect(bool accessible) {
  accessible_ = accessible;
  if (end_ == 0) return;
  if (mprotect(base_, end_, accessible ? PROT_READ | PROT_WRITE : PROT_NONE) != 0)
    throw std::runtime_error("mprotect failed");
}

DeviceMemory::Access::Access(DeviceMemory& memory) : memory_(memory) { memory_.protect(true); }
DeviceMemory::Access::~Access() { memory_.protect(false); }

void* DeviceMemory::allocate(size_t bytes) {
  const size_t size = with_guards(bytes, guard);
  std::vector<char*>& free_blocks = free_[size];
  char* begin = nullptr;
  if (!free_blocks.empty()) {
    begin = free_blocks.back();
    free_blocks.pop_back();
  } else {
    if (size > total - end_) return nullptr;
    begin = base_ + end_;
    end_ = (end_ + size + page - 1) / page * page;
    if (accessible_) protect(true);
  }
  used_ += size;
  blocks_[begin + guard] = {bytes, false};
  return begin + guard;
}

void DeviceMemory::prepare(void* block) {
  Block& prepared = blocks_.at(static_cast<char*>(block));
  std::memset(static_cast<char*>(block) - guard, guarded, with_guards(prepared.bytes, guard));
  std::memset(block, unset, prepared.bytes);
  prepared.prepared = true;
}

void DeviceMemory::release(void* block) {
  const auto found = blocks_.find(static_cast<char*>(block));
  if (found == blocks_.end()) throw Fault("memory is freed that is not the GPU's, or twice");
  const size_t bytes = found->second.bytes, size = with_guards(bytes, guard);
  check_guard(found->first, bytes);
  std::memset(block, unset, bytes);
  free_[size].push_back(static_cast<char*>(block) - guard);
  used_ -= size;
  blocks_.erase(found);
}

bool DeviceMemory::holds(const void* data, size_t bytes) const {
  const char* begin = static_cast<const char*>(data);
  const auto after = blocks_.upper_bound(begin);
  if (after == blocks_.begin()) return false;
  const auto& [start, block] = *std::prev(after);
  return begin + bytes <= start + block.bytes;
}

bool DeviceMemory::is_foreign(const void* data) const {
  return std::less<>()(static_cast<const char*>(data), base_) ||
         !std::less<>()(static_cast<const char*>(data), base_ + total);
}

void DeviceMemory::check_guard(const char* block, size_t bytes) const {
  const auto intact = [](const char* begin, const char* end) {
    return std::all_of(begin, end, [](char byte) { return static_cast<unsigned char>(byte) == guarded; });
  };
  const char* end = block - guard + with_guards(bytes, guard);
  if (!intact(block - guard, block) || !intact(block + bytes, end))
    throw Fault(fmt::format("something wrote beside a block of {} bytes of the GPU's memory", bytes));
}

void DeviceMemory::check_guards() const {
  for (const auto& [start, block] : blocks_) {
    if (block.prepared) check_guard(start, block.bytes);
  }
}

}  // namespace emulator
