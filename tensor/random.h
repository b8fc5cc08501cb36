// Random numbers: Philox 4x32-10 (Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", SC 2011).
// Counter based: number i of a stream is a pure function of (seed, i), the same on every device.
#pragma once

#include <cstdint>

#include "tensor/bfloat16.h"

namespace nabla {

struct Philox4 {
  uint32_t word[4];
};

// The block of four 32-bit words at `counter` of the stream `seed`.
DINOMALY_HOST_DEVICE inline Philox4 philox(uint64_t seed, uint64_t counter) {
  uint32_t c0 = static_cast<uint32_t>(counter), c1 = static_cast<uint32_t>(counter >> 32), c2 = 0, c3 = 0;
  uint32_t k0 = static_cast<uint32_t>(seed), k1 = static_cast<uint32_t>(seed >> 32);
  for (int round = 0; round < 10; ++round) {
    const uint64_t p0 = uint64_t{0xD2511F53u} * c0;
    const uint64_t p1 = uint64_t{0xCD9E8D57u} * c2;
    const uint32_t n0 = static_cast<uint32_t>(p1 >> 32) ^ c1 ^ k0;
    const uint32_t n2 = static_cast<uint32_t>(p0 >> 32) ^ c3 ^ k1;
    c1 = static_cast<uint32_t>(p1);
    c3 = static_cast<uint32_t>(p0);
    c0 = n0;
    c2 = n2;
    k0 += 0x9E3779B9u;
    k1 += 0xBB67AE85u;
  }
  return {{c0, c1, c2, c3}};
}

// Uniform in [0, 1) with 24 bits from one word.
DINOMALY_HOST_DEVICE inline float uniform_from(uint32_t word) {
  return static_cast<float>(word >> 8) * 0x1p-24f;
}

// An explicit stream of random numbers. Copying it copies its position; (seed, offset) is its whole state.
class Generator {
 public:
  explicit Generator(uint64_t seed = 0, uint64_t offset = 0) : seed_(seed), offset_(offset) {}

  uint64_t seed() const { return seed_; }
  uint64_t offset() const { return offset_; }  // in blocks of four words

  // Sets aside `count` words for a kernel that draws them itself by counter; returns the
  // first block's offset. Of a part of a batch, it sets them aside for the whole batch, and returns the part's first block. Throws
  // Error where the numbers of the part do not begin at a whole block of four.
  uint64_t reserve(uint64_t count);
  // From now on reserve() is for a part of a batch: `own` of its `all` images, from number `first` on. Together the parts draw
  // what one generator would draw for the batch.
  void take_part(int64_t first, int64_t own, int64_t all);
  uint32_t next_word() { return philox(seed_, offset_++).word[0]; }
  // Uniform in [0, 1) with 53 bits.
  double uniform() {
    const Philox4 block = philox(seed_, offset_++);
    const uint64_t bits = (uint64_t{block.word[0]} << 32 | block.word[1]) >> 11;
    return static_cast<double>(bits) * 0x1p-53;
  }
  // Standard normal (Box-Muller).
  double normal();
  // Uniform in [0, bound); bound >= 1. Without bias (rejection).
  uint64_t below(uint64_t bound);

 private:
  uint64_t seed_;
  uint64_t offset_;
  int64_t part_first_ = 0, part_own_ = 1, part_all_ = 1;
};

}  // namespace nabla
