// Several strided arrays seen as one loop: axes that lie one after the other in all of them are merged,
// so that the innermost runs are as long as can be (a single one where everything is contiguous). For
// host and device.
#pragma once

#include <array>
#include <cstdint>

#include "tensor/shape.h"

namespace nabla {

template <int count>
struct StridedLoop {
  using Offsets = std::array<int64_t, count>;  // one per array, in elements

  int rank = 0;  // at least 1
  int64_t numel = 1;
  std::array<int64_t, Shape::max_rank> sizes{};
  std::array<Offsets, Shape::max_rank> strides{};

  int64_t run() const { return sizes[rank - 1]; }
  const Offsets& run_strides() const { return strides[rank - 1]; }
};

template <int count>
StridedLoop<count> strided_loop(const Shape& shape, const std::array<Strides, count>& strides) {
  StridedLoop<count> loop;
  for (int axis = 0; axis < shape.rank(); ++axis) {
    const int64_t size = shape[axis];
    loop.numel *= size;
    if (size == 1) continue;
    typename StridedLoop<count>::Offsets steps;
    bool merge = loop.rank > 0;
    for (int k = 0; k < count; ++k) {
      steps[k] = strides[k][axis];
      merge = merge && loop.strides[loop.rank - 1][k] == steps[k] * size;
    }
    if (!merge) loop.sizes[loop.rank++] = 1;
    loop.sizes[loop.rank - 1] *= size;
    loop.strides[loop.rank - 1] = steps;
  }
  if (loop.rank == 0) {
    loop.rank = 1;
    loop.sizes[0] = 1;
    loop.strides[0].fill(1);
  }
  return loop;
}

}  // namespace nabla
