// What the threads of a kernel do with memory, access by access: races, and how well a warp's accesses go together. The kernels are
// compiled with the compiler's calls for ThreadSanitizer, which probe.cpp answers.
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "tests/backends/cuda_emulator/block.h"

namespace emulator {

// Two threads of a block that touch one byte of shared or global memory, one of them to write, must have a barrier between them:
// __syncthreads(), or __syncwarp() for lanes of one warp; a shuffle is none. Threads of two blocks never have one. The block in
// which that does not hold ends in a Fault. (No kernel uses atomics.)
class Probe final : public Observer {
 public:
  // The file and line, "attention.cu:45", of a barrier that from now on counts for nothing; empty: none.
  std::string without;
  // Those that were met.
  std::set<std::string> barriers;

  // What a warp's accesses by one instruction cost on average, of the kernel's instruction that costs most: 32-byte sectors of global
  // memory (float by float: 4), passes over the banks of shared memory (1: no conflicts).
  struct Traffic {
    double sectors = 0, passes = 0;
  };
  // By kernel, since `counts` was set.
  bool counts = false;
  std::map<std::string, Traffic> traffic() const;
  void forget_traffic() { sums_.clear(); }

  void begin_kernel(const void* kernel) override;
  void begin_block(const void* shared, size_t bytes) override;
  void meet_block(const std::source_location& place) override;
  void meet_warp(unsigned warp, const std::source_location& place) override;
  void end_block() override;

  void access(const void* address, size_t bytes, bool writes, const void* instruction);

 private:
  static constexpr unsigned lanes = 32;

  struct Access {
    uint32_t phase = 0, moment = 0;
    unsigned thread = 0;
  };
  // A byte. Of its readers two are known since the last barrier: of different warps, if any are, otherwise the last two lanes.
  struct Byte {
    uint32_t kernel = 0;
    int64_t writing_block = none, reading_block = none;
    Access write, reads[2];
  };
  static constexpr int64_t none = -1, several = -2;
  static constexpr size_t page = 512;
  using Page = std::array<Byte, page>;

  // The k-th access by one instruction, by thread and k.
  struct Instruction {
    std::vector<std::vector<uintptr_t>> addresses;
    size_t bytes = 0;
    bool shared = false;
  };
  struct Sum {
    int64_t requests = 0, parts = 0;
    bool shared = false;
  };

  bool is_shared(const void* address) const;
  bool counts_as_barrier(const std::source_location& place);
  Byte& at(uintptr_t address);
  bool conflicts(const Access& access, unsigned thread) const;
  bool is_race(uintptr_t address, bool global, bool writes, unsigned thread);
  void remember_read(Byte& byte, const Access& read) const;
  void count_block();

  std::unordered_map<uintptr_t, std::unique_ptr<Page>> pages_;
  std::pair<uintptr_t, Page*> last_page_{};
  const void* kernel_ = nullptr;
  uint32_t number_ = 0;                    // of the kernel
  uint32_t phase_ = 0;                     // between two barriers of a block; grows for ever
  std::array<uint32_t, lanes> moments_{};  // of each warp
  const char* shared_ = nullptr;
  size_t shared_bytes_ = 0;
  std::string race_;
  std::unordered_map<const void*, Instruction> instructions_;  // of the block
  std::map<std::pair<const void*, const void*>, Sum> sums_;    // by kernel and instruction
};

}  // namespace emulator
