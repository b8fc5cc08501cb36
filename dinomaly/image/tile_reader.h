// The tiles of an image too large to be in memory as a whole.
#pragma once

#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <vector>

#include "dinomaly/base/framework.h"
#include "dinomaly/image/image.h"
#include "dinomaly/image/pixel_rows.h"
#include "dinomaly/image/tiles.h"

namespace dinomaly {

// Adds up the rows of an image that is made smaller: the mean of the pixels that fall on each.
class SmallerImage {
 public:
  // At most 2^24 pixels are left of width x height.
  SmallerImage(int64_t width, int64_t height);
  // The next row, width pixels of three or more channels, of which the first are shown, or of two, of which the first
  // is shown as grey.
  void add(const uint8_t* row, int64_t channels = 3);
  // Once all rows are added.
  const Image& image() const { return image_; }

 private:
  int64_t width_, height_, y_ = 0;
  std::vector<int64_t> columns_;  // of image_, for each pixel of a row
  std::vector<uint64_t> sums_;    // of one row of image_: red, green, blue and how many pixels
  Image image_;
};

// Reads rows of the file only as far as the next tile needs them, and forgets those that no later tile needs:
// at most a tile's height of rows is in memory. (A WebP, an interlaced PNG and a BMP without a palette are decoded as a
// whole, at 3 to 4 bytes per pixel; of a progressive JPEG the coefficients are, at 3 to 6.)
class TileReader {
 public:
  // Rows of which none has been read, of open_picture() for rules.channels. Throws InputError as tile_boxes().
  TileReader(std::unique_ptr<PixelRows> rows, const PixelRules& rules, const Tiling& tiling);

  ImageSize size() const { return size_of(rows_->layout(), rules_); }
  // A tile of the image as people see it. Tiles come in the order in which the file's rows complete them, which
  // is that of tile_boxes() unless the image lies on its side or upside down. None at the end. Throws
  // InputError naming the file where it is cut short or damaged.
  struct Tile {
    Box box;
    Image image;  // of rules.channels channels
  };
  std::optional<Tile> next();
  // Of the rows read so far, all once the tiles are at their end: whether they have no colours (of grey and RGB), and
  // the image as people see it, made smaller (SmallerImage), in RGB.
  bool grey() const { return grey_; }
  Image smaller() const;

 private:
  struct Place {
    Box seen, stored;  // the tile in the image as people see it, and in the file
  };
  void read_until(int64_t end);

  std::unique_ptr<PixelRows> rows_;
  PixelRules rules_;
  int orientation_ = 1;
  std::vector<Place> places_;
  size_t next_ = 0;
  std::deque<std::vector<uint8_t>> band_;  // rows of the file, in colour
  int64_t first_ = 0, read_ = 0;  // rows of the file: the first of band_, and how many have been read
  bool grey_ = true;
  SmallerImage smaller_;
};

}  // namespace dinomaly
