// The loops that peak.h measures, compiled for one level of the CPU's kernels.
#pragma once

#include <cstdint>

namespace dinomaly {

struct PeakLoops {
  using OfFloats = float (*)(int64_t rounds);
  using OfBytes = int64_t (*)(int64_t rounds);

  const char* level;
  OfFloats multiply_add;
  int64_t products;            // of a round
  OfBytes multiply_add_bytes;  // null where there is no instruction for them
  int64_t products_of_bytes;
  const PeakLoops* next;

  // Joins the list.
  PeakLoops(const char* level, OfFloats multiply_add, int64_t products, OfBytes multiply_add_bytes,
            int64_t products_of_bytes);
  static const PeakLoops* first();
};

}  // namespace dinomaly
