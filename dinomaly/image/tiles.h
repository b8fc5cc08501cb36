// Splits large images into overlapping tiles, each judged as an image of its own, and joins their maps
// without a seam.
#pragma once

#include <cstdint>
#include <vector>

#include "dinomaly/base/framework.h"
#include "dinomaly/image/image_map.h"
#include "tensor/tensor.h"

namespace dinomaly {

// Tiles of size x size pixels of the original image, neighbours sharing at least `overlap` pixels.
struct Tiling {
  int64_t size = 0;  // 0: no tiles, the image as a whole
  int64_t overlap = 0;

  bool on() const { return size > 0; }
  bool operator==(const Tiling&) const = default;
};

// What neighbours share unless a user says otherwise: a quarter of a tile.
inline int64_t default_overlap(int64_t size) { return size / 4; }

// Throws InputError unless the tiling is off or 16 <= size <= 32768 and 0 <= overlap <= size / 2.
void validate(const Tiling& tiling);

// The tiles that cover an image, in reading order, evenly spaced. An axis shorter than a tile has one tile
// as long as the axis. Throws InputError for more than 65536 tiles.
std::vector<Box> tile_boxes(int64_t width, int64_t height, const Tiling& tiling);
// The same for tiles that are not square: as wide as `columns` says and as high as `rows` does.
std::vector<Box> tile_boxes(int64_t width, int64_t height, const Tiling& columns, const Tiling& rows);

// The weighted mean of the maps of all tiles. A tile's weight falls linearly to zero over the overlap with
// its neighbours, so that the map has no step at a tile's border.
class TileBlend {
 public:
  TileBlend(int64_t width, int64_t height, const Tiling& tiling) : TileBlend(width, height, tiling, tiling) {}
  TileBlend(int64_t width, int64_t height, const Tiling& columns, const Tiling& rows);
  const std::vector<Box>& boxes() const { return boxes_; }
  // map (box.height, box.width) f32 of one of boxes(); add each exactly once.
  void add(const Box& box, const Tensor& map);
  // (height, width) f32.
  const Tensor& result() const { return sum_; }

 private:
  Tiling columns_, rows_;
  std::vector<Box> boxes_;
  std::vector<float> row_weights_, column_weights_;  // summed over the tiles
  Tensor sum_;
};

}  // namespace dinomaly
