// copy and fill: any strides, any dtypes.
#include <cstring>
#include <numeric>
#include <vector>

#include "backends/common/convert.h"
#include "backends/cpu/strided.h"
#include "tensor/tensor.h"

namespace nabla::cpu {

namespace {

using CopyLoop = StridedLoop<2>;  // array 0 is written, array 1 read

// The loop over both tensors with axes in the order of the written one's memory.
CopyLoop copy_loop(const Tensor& from, const Tensor& to) {
  std::vector<int> axes(to.rank());
  std::iota(axes.begin(), axes.end(), 0);
  std::stable_sort(axes.begin(), axes.end(), [&](int a, int b) { return to.strides()[a] > to.strides()[b]; });
  const Tensor source = from.permute(axes), target = to.permute(axes);
  return strided_loop<2>(target.shape(), {target.strides(), source.strides()});
}

template <class From, class To>
void copy_run(const From* from, int64_t from_stride, To* to, int64_t to_stride, int64_t length) {
  if (from_stride == 1 && to_stride == 1) {
    if constexpr (std::is_same_v<From, To>) {
      std::memcpy(to, from, static_cast<size_t>(length) * sizeof(To));
    } else {
#pragma omp simd
      for (int64_t i = 0; i < length; ++i) store(to[i], static_cast<Compute<From>>(from[i]));
    }
  } else {
    for (int64_t i = 0; i < length; ++i) to[i * to_stride] = static_cast<To>(from[i * from_stride]);
  }
}

// One tile of a transposition, to[r * to_row + c] = from[c * from_column + r], by way of a buffer in the
// first-level cache: both sides of the memory see whole cache lines.
constexpr int64_t tile = 32;

template <class From, class To>
void transpose_tile(const From* from, int64_t from_column, To* to, int64_t to_row, int64_t rows,
                    int64_t columns) {
  To buffer[tile][tile + 1];
  for (int64_t c = 0; c < columns; ++c) {
    for (int64_t r = 0; r < rows; ++r) buffer[r][c] = static_cast<To>(from[c * from_column + r]);
  }
  for (int64_t r = 0; r < rows; ++r) {
    for (int64_t c = 0; c < columns; ++c) to[r * to_row + c] = buffer[r][c];
  }
}

// The axis besides the last along which the source is contiguous; -1 if the copy is no transposition.
int transposed_axis(const CopyLoop& loop) {
  const int last = loop.rank - 1;
  if (loop.strides[last][0] != 1 || loop.strides[last][1] <= 1 || loop.sizes[last] < 4) return -1;
  for (int axis = last - 1; axis >= 0; --axis) {
    if (loop.strides[axis][1] == 1 && loop.sizes[axis] >= 4) return axis;
  }
  return -1;
}

template <class From, class To>
void copy_transposed(const CopyLoop& loop, int axis, const From* from, To* to) {
  const int last = loop.rank - 1;
  const int64_t rows = loop.sizes[axis], columns = loop.sizes[last];
  const int64_t row_tiles = (rows + tile - 1) / tile;
  const int64_t column_tiles = (columns + tile - 1) / tile;
  // The other axes, and the two tiled ones counted in tiles.
  CopyLoop tiles = loop;
  tiles.sizes[axis] = row_tiles;
  tiles.sizes[last] = column_tiles;
  for (int k = 0; k < 2; ++k) {
    tiles.strides[axis][k] *= tile;
    tiles.strides[last][k] *= tile;
  }
  const int64_t count = loop.numel / (rows * columns) * row_tiles * column_tiles;
  int64_t inside = 1;  // tiles from one row of tiles to the next
  for (int i = axis + 1; i <= last; ++i) inside *= tiles.sizes[i];
  parallel_for(count, parallel_grain / (tile * tile), [&](int64_t begin, int64_t end) {
    for_each_run(tiles, begin, end, [&](int64_t index, const auto& offsets, int64_t length) {
      const int64_t row = index / inside % row_tiles * tile;
      for (int64_t i = 0; i < length; ++i) {
        const int64_t column = (index + i) % column_tiles * tile;
        transpose_tile(from + offsets[1] + i * tiles.strides[last][1], loop.strides[last][1],
                       to + offsets[0] + i * tiles.strides[last][0], loop.strides[axis][0],
                       std::min(tile, rows - row), std::min(tile, columns - column));
      }
    });
  });
}

}  // namespace

void copy(const Tensor& from, const Tensor& to) {
  if (to.numel() == 0) return;
  const CopyLoop loop = copy_loop(from, to);
  const int axis = transposed_axis(loop);
  visit(from.dtype(), [&](auto from_type) {
    visit(to.dtype(), [&](auto to_type) {
      const auto* source = from.data<decltype(from_type)>();
      auto* target = to.data<decltype(to_type)>();
      if (axis >= 0) return copy_transposed(loop, axis, source, target);
      parallel_for_each_run(loop, [&](int64_t, const auto& offsets, int64_t length) {
        copy_run(source + offsets[1], loop.run_strides()[1], target + offsets[0], loop.run_strides()[0],
                 length);
      });
    });
  });
}

void fill(const Tensor& out, double value) {
  const StridedLoop<1> loop = strided_loop<1>(out.shape(), {out.strides()});
  visit(out.dtype(), [&](auto type) {
    using T = decltype(type);
    T* const target = out.data<T>();
    const T element = static_cast<T>(value);
    const int64_t stride = loop.run_strides()[0];
    parallel_for_each_run(loop, [&](int64_t, const auto& offsets, int64_t length) {
      T* const run = target + offsets[0];
      if (stride == 1)
        std::fill_n(run, length, element);
      else
        for (int64_t i = 0; i < length; ++i) run[i * stride] = element;
    });
  });
}

}  // namespace nabla::cpu
