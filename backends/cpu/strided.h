// Loops over several strided arrays at once: axes that lie one after the other in all of them are merged, so
// that the innermost runs are as long as can be (a single one where everything is contiguous).
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>

#include "backends/common/parallel.h"
#include "tensor/shape.h"

namespace dinomaly {

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

// Calls body(index, offsets, length) for the runs of the elements [begin, end) in row-major order: `index` is
// the first element's number, `offsets` its places; the next ones follow at run_strides().
template <int count, class Body>
void for_each_run(const StridedLoop<count>& loop, int64_t begin, int64_t end, const Body& body) {
  std::array<int64_t, Shape::max_rank> position{};
  typename StridedLoop<count>::Offsets offsets{};
  for (int64_t axis = loop.rank - 1, rest = begin; axis >= 0; --axis) {
    position[axis] = rest % loop.sizes[axis];
    rest /= loop.sizes[axis];
    for (int k = 0; k < count; ++k) offsets[k] += position[axis] * loop.strides[axis][k];
  }
  const int last = loop.rank - 1;
  while (begin < end) {
    const int64_t length = std::min(loop.sizes[last] - position[last], end - begin);
    body(begin, offsets, length);
    begin += length;
    // On to the first element of the next run, carrying into the outer axes.
    for (int k = 0; k < count; ++k) offsets[k] -= position[last] * loop.strides[last][k];
    position[last] = 0;
    for (int axis = last - 1; axis >= 0; --axis) {
      for (int k = 0; k < count; ++k) offsets[k] += loop.strides[axis][k];
      if (++position[axis] < loop.sizes[axis]) break;
      for (int k = 0; k < count; ++k) offsets[k] -= position[axis] * loop.strides[axis][k];
      position[axis] = 0;
    }
  }
}

// The same for all elements, on all processors.
template <int count, class Body>
void parallel_for_each_run(const StridedLoop<count>& loop, const Body& body) {
  parallel_for(
      loop.numel, parallel_grain, [&](int64_t begin, int64_t end) { for_each_run(loop, begin, end, body); },
      16);
}

}  // namespace dinomaly
