// Running through a StridedLoop on all processors.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>

#include "backends/common/strided_loop.h"
#include "tensor/threads.h"

namespace nabla {

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

// Of a body, its address and how it is called.
template <int count>
using RunFunction = void (*)(const void* body, int64_t index,
                             const typename StridedLoop<count>::Offsets& offsets, int64_t length);

template <int count>
[[gnu::noinline]] void parallel_runs(const StridedLoop<count>& loop, const void* body,
                                     RunFunction<count> function) {
  parallel_for(
      loop.numel, parallel_grain,
      [&](int64_t begin, int64_t end) {
        for_each_run(loop, begin, end, [&](int64_t index, const auto& offsets, int64_t length) {
          function(body, index, offsets, length);
        });
      },
      16);
}

// The same for all elements, on all processors. The body is called by its address: the loops around it are compiled
// once, not for each of the hundred bodies that the elementwise functions make.
template <int count, class Body>
void parallel_for_each_run(const StridedLoop<count>& loop, const Body& body) {
  parallel_runs<count>(
      loop, &body,
      [](const void* address, int64_t index, const typename StridedLoop<count>::Offsets& offsets,
         int64_t length) { (*static_cast<const Body*>(address))(index, offsets, length); });
}

}  // namespace nabla
