// The loops that peak.h measures, compiled for one level of the CPU's kernels.
#pragma once

#include <cstdint>

namespace dinomaly {

struct PeakLoops {
  using OfFloats = float (*)(int64_t rounds);
  struct OfBytes {
    int64_t (*run)(int64_t rounds);  // null where there is no instruction
    int64_t products;                // of a round
  };

  const char* level;
  OfFloats multiply_add;
  int64_t products;       // of a round
  OfBytes (*of_bytes)();  // asks the processor, so that it is for the level in use alone
  const PeakLoops* next;

  // Joins the list.
  PeakLoops(const char* level, OfFloats multiply_add, int64_t products, OfBytes (*of_bytes)());
  static const PeakLoops* first();
};

}  // namespace dinomaly
