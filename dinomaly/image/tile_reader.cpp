#include "dinomaly/image/tile_reader.h"

#include <algorithm>
#include <cmath>

#include "dinomaly/image/exif.h"
#include "dinomaly/image/picture.h"

namespace dinomaly {

namespace {

constexpr int64_t most_shown = int64_t{1} << 24;

// The size of an image's smaller version.
ImageSize smaller_size(int64_t width, int64_t height) {
  const double pixels = static_cast<double>(width) * static_cast<double>(height);
  const auto part = static_cast<int64_t>(std::ceil(std::sqrt(pixels / static_cast<double>(most_shown))));
  return {std::max<int64_t>(1, width / part), std::max<int64_t>(1, height / part)};
}

// Where a box of the image as people see it lies in the file's rows: the inverse of turned().
Box stored_box(const Box& seen, int orientation, int64_t stored_width, int64_t stored_height) {
  Box box = seen;
  if (orientation >= 5) box = {seen.y, seen.x, seen.height, seen.width};
  const bool from_right = orientation == 2 || orientation == 3 || orientation == 7 || orientation == 8;
  const bool from_bottom = orientation == 3 || orientation == 4 || orientation == 6 || orientation == 7;
  if (from_right) box.x = stored_width - box.x - box.width;
  if (from_bottom) box.y = stored_height - box.y - box.height;
  return box;
}

}  // namespace

SmallerImage::SmallerImage(int64_t width, int64_t height) : width_(width), height_(height) {
  const ImageSize size = smaller_size(width, height);
  image_ = Image(size.width, size.height, 3);
  sums_.assign(static_cast<size_t>(4 * size.width), 0);
  for (int64_t x = 0; x < width; ++x) columns_.push_back(x * size.width / width);
}

void SmallerImage::add(const uint8_t* row, int64_t channels) {
  const int64_t green = channels >= 3 ? 1 : 0, blue = channels >= 3 ? 2 : 0;
  for (int64_t x = 0; x < width_; ++x, row += channels) {
    uint64_t* sum = &sums_[static_cast<size_t>(4 * columns_[static_cast<size_t>(x)])];
    sum[0] += row[0], sum[1] += row[green], sum[2] += row[blue], ++sum[3];
  }
  const int64_t y = y_ * image_.height / height_;
  if (++y_ < height_ && y_ * image_.height / height_ == y) return;
  for (int64_t x = 0; x < image_.width; ++x) {
    const uint64_t* sum = &sums_[static_cast<size_t>(4 * x)];
    for (int c = 0; c < 3; ++c) image_.at(x, y)[c] = static_cast<uint8_t>((sum[c] + sum[3] / 2) / sum[3]);
  }
  std::fill(sums_.begin(), sums_.end(), 0);
}

TileReader::TileReader(std::unique_ptr<PixelRows> rows, const PixelRules& rules, const Tiling& tiling)
    : rows_(std::move(rows)),
      rules_(rules),
      orientation_(rules.exif_orientation ? rows_->layout().orientation : 1),
      smaller_(rows_->layout().width, rows_->layout().height) {
  const PixelLayout& layout = rows_->layout();
  for (const Box& box : tile_boxes(size().width, size().height, tiling))
    places_.push_back({box, stored_box(box, orientation_, layout.width, layout.height)});
  std::stable_sort(places_.begin(), places_.end(),
                   [](const Place& a, const Place& b) { return a.stored.y < b.stored.y; });
}

void TileReader::read_until(int64_t end) {
  const PixelLayout& layout = rows_->layout();
  for (; read_ < end; ++read_) {
    const PixelRules rules = rules_.in_colour();
    std::vector<uint8_t> row(static_cast<size_t>(rules.channels * layout.width));
    row_to_channels(layout, rules, rows_->next(), row.data());
    grey_ = grey_ && rules.channels == 3 && is_grey(row);
    smaller_.add(row.data(), rules.channels);
    band_.push_back(std::move(row));
  }
}

std::optional<TileReader::Tile> TileReader::next() {
  if (next_ == places_.size()) return std::nullopt;
  const auto& [seen, stored] = places_[next_++];
  read_until(stored.y + stored.height);
  for (; first_ < stored.y; ++first_) band_.pop_front();
  const int64_t channels = rules_.in_colour().channels;
  Image tile(stored.width, stored.height, channels);
  for (int64_t y = 0; y < stored.height; ++y) {
    const uint8_t* row = band_[static_cast<size_t>(y)].data();
    std::copy_n(row + channels * stored.x, channels * stored.width, tile.row(y));
  }
  if (rules_.channels == 1) tile = in_grey(tile);
  return Tile{seen, turned(std::move(tile), orientation_)};
}

Image TileReader::smaller() const {
  const Image& small = smaller_.image();
  return turned(rules_.channels == 1 ? colours_of(in_grey(small)) : small, orientation_);
}

}  // namespace dinomaly
