// The part of an image that counts: outside it nothing does.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "dinomaly/image/image.h"
#include "dinomaly/image/image_map.h"

namespace dinomaly {

// Where the pixels of a map lie: it covers this rectangle of an image, whose sides need not be whole pixels.
struct MapPlace {
  double x = 0, y = 0, width = 0, height = 0;
};

// Any set of an image's pixels, as boxes: rows that are alike together, in them the longest runs. So equal sets are equal
// boxes, whatever they were made of. Coordinates are those of the image as people see it, turned by its EXIF orientation.
class RegionOfInterest {
 public:
  static constexpr size_t most_boxes = 65536;

  // None: everything counts.
  RegionOfInterest() = default;
  // "X,Y,WIDTH,HEIGHT", several of them joined by '+', or a mask file (load_mask()), all of whose marked pixels count.
  // "none" is none. What a mask marks holds for images of its size alone; rectangles for all they lie in. Throws InputError naming
  // --roi.
  static RegionOfInterest parse(const std::string& text);
  // What is not zero in a mask of one channel; only the upper part of one with more than most_boxes.
  static RegionOfInterest of_mask(const Image& mask);
  // As boxes() had them, of images of width x height. None where they are not what boxes() can be.
  static std::optional<RegionOfInterest> of_boxes(std::vector<Box> boxes, int64_t width, int64_t height);

  bool on() const { return !boxes_.empty(); }
  const std::vector<Box>& boxes() const { return boxes_; }
  // The size of the images it is for; 0 x 0: of any that hold it.
  int64_t width() const { return width_; }
  int64_t height() const { return height_; }
  RegionOfInterest of_size(int64_t width, int64_t height) const;

  // Why it cannot be that of an image of this size; empty: it can.
  std::string misfit(int64_t width, int64_t height) const;
  // Of the pixels of a box, row-major: 1 where they count, else 0.
  std::vector<uint8_t> inside(const Box& box) const;
  // Which pixels of a map count, as places in its rows: those whose centres lie in the region or, where there are none, those
  // that it touches. None where it lies outside of what the map covers.
  std::vector<int64_t> on_map(const MapPlace& place, int64_t rows, int64_t columns) const;

  // Whether anything that a mask of one channel marks lies in it.
  bool meets(const Image& mask) const;

  Box bounds() const;
  int64_t pixels() const;
  // The flag that asks for it: "--roi 10,20,100,80"; of a mask what it marks.
  std::string flag() const;
  // "100 x 80 pixels at (10, 20)"; of what is no rectangle its pixels and the rectangle they lie in.
  std::string text() const;

  bool operator==(const RegionOfInterest&) const = default;

 private:
  void add_rows(int64_t y, int64_t height, const std::vector<Box>& runs);

  std::vector<Box> boxes_;
  int64_t width_ = 0, height_ = 0;
};

// Of the values of pixels those whose flag (RegionOfInterest::inside()) is not 0; without flags all.
void keep_counted(std::vector<float>& values, std::span<const uint8_t> counted);

}  // namespace dinomaly
