#include "dinomaly/image/tiles.h"

#include <algorithm>

#include "dinomaly/base/framework.h"
#include "tensor/error.h"

namespace dinomaly {

namespace {

constexpr int64_t smallest_tile = 16, largest_tile = 32768, most_tiles = 65536;

struct Range {
  int64_t begin, size;
};

std::vector<Range> ranges(int64_t length, const Tiling& tiling) {
  if (length <= tiling.size) return {{0, length}};
  const int64_t step = tiling.size - tiling.overlap, last = length - tiling.size;
  const int64_t steps = (last + step - 1) / step;
  std::vector<Range> result;
  for (int64_t i = 0; i <= steps; ++i) result.push_back({i * last / steps, tiling.size});
  return result;
}

// Of pixel `i` of a tile of `size`.
float weight(int64_t i, int64_t size, int64_t overlap) {
  if (overlap == 0) return 1;
  const double edge = static_cast<double>(std::min(i, size - 1 - i)) + 0.5;
  return static_cast<float>(std::min(1.0, edge / static_cast<double>(overlap)));
}

std::vector<float> summed_weights(int64_t length, const Tiling& tiling) {
  std::vector<float> sum(static_cast<size_t>(length), 0.0f);
  for (const Range& range : ranges(length, tiling)) {
    for (int64_t i = 0; i < range.size; ++i) {
      sum[static_cast<size_t>(range.begin + i)] += weight(i, range.size, tiling.overlap);
    }
  }
  return sum;
}

}  // namespace

void validate(const Tiling& tiling) {
  if (tiling.size == 0) {
    check_input(tiling.overlap == 0, "--overlap: there is nothing to overlap without --tile");
    return;
  }
  check_input(tiling.size >= smallest_tile && tiling.size <= largest_tile, "--tile: {} is not within {}..{}",
              tiling.size, smallest_tile, largest_tile);
  check_input(tiling.overlap >= 0 && tiling.overlap <= tiling.size / 2,
              "--overlap: {} is not within 0..{}, half a tile", tiling.overlap, tiling.size / 2);
}

std::vector<Box> tile_boxes(int64_t width, int64_t height, const Tiling& tiling) {
  return tile_boxes(width, height, tiling, tiling);
}

std::vector<Box> tile_boxes(int64_t width, int64_t height, const Tiling& of_columns, const Tiling& of_rows) {
  const std::vector<Range> rows = ranges(height, of_rows), columns = ranges(width, of_columns);
  const int64_t count = static_cast<int64_t>(rows.size() * columns.size());
  check_input(count <= most_tiles, "--tile: an image of {} x {} pixels would be {} tiles, more than {}",
              width, height, count, most_tiles);
  std::vector<Box> boxes;
  for (const Range& row : rows) {
    for (const Range& column : columns) boxes.push_back({column.begin, row.begin, column.size, row.size});
  }
  return boxes;
}

TileBlend::TileBlend(int64_t width, int64_t height, const Tiling& columns, const Tiling& rows)
    : columns_(columns),
      rows_(rows),
      boxes_(tile_boxes(width, height, columns, rows)),
      row_weights_(summed_weights(height, rows)),
      column_weights_(summed_weights(width, columns)),
      sum_(Tensor::zeros({height, width})) {}

void TileBlend::add(const Box& box, const Tensor& map) {
  check(map.shape() == Shape({box.height, box.width}), "TileBlend: a map of {} for a tile of {} x {}",
        map.shape(), box.height, box.width);
  const Tensor dense = map.contiguous();
  const int64_t width = sum_.size(1);
  // The grid of tiles is a product of rows and columns, so the sum of all weights is one too.
  std::vector<float> columns;
  for (int64_t x = 0; x < box.width; ++x) {
    columns.push_back(weight(x, box.width, columns_.overlap) /
                      column_weights_[static_cast<size_t>(box.x + x)]);
  }
  for (int64_t y = 0; y < box.height; ++y) {
    const float row = weight(y, box.height, rows_.overlap) / row_weights_[static_cast<size_t>(box.y + y)];
    const float* values = dense.data<float>() + y * box.width;
    float* out = sum_.data<float>() + (box.y + y) * width + box.x;
    for (int64_t x = 0; x < box.width; ++x) out[x] += row * columns[static_cast<size_t>(x)] * values[x];
  }
}

}  // namespace dinomaly
