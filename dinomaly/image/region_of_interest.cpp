#include "dinomaly/image/region_of_interest.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <string_view>

#include "dinomaly/base/framework.h"
#include "dinomaly/image/pixel_rows.h"
#include "tensor/error.h"

namespace dinomaly {

namespace {

constexpr size_t most_rectangles = 1000;
constexpr size_t most_listed = 4;  // in messages

std::vector<std::string_view> split(std::string_view text, char by) {
  std::vector<std::string_view> parts;
  for (;;) {
    const size_t end = text.find(by);
    parts.push_back(text.substr(0, end));
    if (end == std::string_view::npos) return parts;
    text.remove_prefix(end + 1);
  }
}

// Digits alone, so that -1, 1.5 and 1e3 are told apart from pixels.
int64_t pixels_of(std::string_view digits, std::string_view rectangle) {
  int64_t value = 0;
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), value);
  check_input(error == std::errc() && end == digits.data() + digits.size() && value >= 0 &&
                  value <= strip_limits.side,
              "--roi: '{}' in {} is not a number of pixels from 0 to {}", digits, rectangle,
              strip_limits.side);
  return value;
}

Box rectangle_of(std::string_view text) {
  const std::vector<std::string_view> numbers = split(text, ',');
  check_input(numbers.size() == 4, "--roi: '{}' is not X,Y,WIDTH,HEIGHT", text);
  const Box box{pixels_of(numbers[0], text), pixels_of(numbers[1], text), pixels_of(numbers[2], text),
                pixels_of(numbers[3], text)};
  check_input(box.width > 0 && box.height > 0, "--roi: {} has no pixel", text);
  return box;
}

// A name of a file has other characters, or no comma.
bool is_rectangles(const std::string& text) {
  return text.find(',') != std::string::npos &&
         text.find_first_not_of("0123456789,+-. ") == std::string::npos;
}

// The union of boxes in one row: runs from left to right that do not touch. Their y and height mean nothing.
std::vector<Box> joined(std::vector<Box> boxes) {
  std::sort(boxes.begin(), boxes.end(), [](const Box& a, const Box& b) { return a.x < b.x; });
  std::vector<Box> runs;
  for (const Box& box : boxes) {
    if (runs.empty() || runs.back().x + runs.back().width < box.x)
      runs.push_back(box);
    else
      runs.back().width = std::max(runs.back().width, box.x + box.width - runs.back().x);
  }
  return runs;
}

std::vector<Box> runs_of_row(const uint8_t* row, int64_t width) {
  std::vector<Box> runs;
  for (int64_t x = 0; x < width; ++x) {
    if (row[x] == 0) continue;
    if (runs.empty() || runs.back().x + runs.back().width < x) runs.push_back({x, 0, 0, 0});
    ++runs.back().width;
  }
  return runs;
}

}  // namespace

void RegionOfInterest::add_rows(int64_t y, int64_t height, const std::vector<Box>& runs) {
  // The boxes of the rows right above, if these are alike, only grow.
  const size_t count = runs.size();
  if (count > 0 && boxes_.size() >= count) {
    const auto above = boxes_.end() - static_cast<std::ptrdiff_t>(count);
    const bool all = above == boxes_.begin() || (above - 1)->y != above->y;
    if (all && above->y + above->height == y &&
        std::equal(runs.begin(), runs.end(), above,
                   [](const Box& a, const Box& b) { return a.x == b.x && a.width == b.width; })) {
      std::for_each(above, boxes_.end(), [&](Box& box) { box.height += height; });
      return;
    }
  }
  for (const Box& run : runs) boxes_.push_back({run.x, y, run.width, height});
}

RegionOfInterest RegionOfInterest::parse(const std::string& text) {
  if (text == "none") return {};
  check_input(!text.empty(), "--roi: names neither X,Y,WIDTH,HEIGHT nor a mask file");
  if (!is_rectangles(text)) {
    const Image mask = [&] {
      try {
        return load_mask(text);
      } catch (const InputError& error) {
        fail_input("--roi: {}", error.what());
      }
    }();
    const RegionOfInterest region = of_mask(mask);
    check_input(region.on(), "--roi: {}: it marks no pixel", text);
    check_input(region.boxes_.size() <= most_boxes,
                "--roi: {}: what it marks falls into more than {} pieces; draw it with smoother edges", text,
                most_boxes);
    return region;
  }
  std::vector<Box> rectangles;
  for (const std::string_view part : split(text, '+')) rectangles.push_back(rectangle_of(part));
  check_input(rectangles.size() <= most_rectangles, "--roi: {} rectangles are more than {}; give a mask",
              rectangles.size(), most_rectangles);
  std::vector<int64_t> edges;
  for (const Box& box : rectangles) edges.push_back(box.y), edges.push_back(box.y + box.height);
  std::sort(edges.begin(), edges.end());
  edges.erase(std::unique(edges.begin(), edges.end()), edges.end());
  RegionOfInterest region;
  for (size_t i = 0; i + 1 < edges.size(); ++i) {
    std::vector<Box> here;
    std::copy_if(rectangles.begin(), rectangles.end(), std::back_inserter(here),
                 [&](const Box& box) { return box.y <= edges[i] && edges[i] < box.y + box.height; });
    region.add_rows(edges[i], edges[i + 1] - edges[i], joined(here));
  }
  check_input(region.boxes_.size() <= most_boxes,
              "--roi: these rectangles overlap in {} pieces, and {} are the most", region.boxes_.size(),
              most_boxes);
  return region;
}

RegionOfInterest RegionOfInterest::of_mask(const Image& mask) {
  RegionOfInterest region;
  region.width_ = mask.width, region.height_ = mask.height;
  for (int64_t y = 0; y < mask.height && region.boxes_.size() <= most_boxes; ++y)
    region.add_rows(y, 1, runs_of_row(mask.row(y), mask.width));
  return region;
}

std::optional<RegionOfInterest> RegionOfInterest::of_boxes(std::vector<Box> boxes, int64_t width,
                                                           int64_t height) {
  if (boxes.empty() || boxes.size() > most_boxes || width < 1 || height < 1 || width > strip_limits.side ||
      height > strip_limits.side)
    return std::nullopt;
  RegionOfInterest region;
  region.width_ = width, region.height_ = height;
  for (size_t begin = 0, end = 0; begin < boxes.size(); begin = end) {
    const Box& first = boxes[begin];
    std::vector<Box> runs;
    for (; end < boxes.size() && boxes[end].y == first.y; ++end) {
      const Box& box = boxes[end];
      const bool inside = box.x >= 0 && box.y >= 0 && box.width >= 1 && box.height >= 1 &&
                          box.width <= width && box.x <= width - box.width && box.height <= height &&
                          box.y <= height - box.height;
      const int64_t free = runs.empty() ? 0 : runs.back().x + runs.back().width + 1;
      if (!inside || box.height != first.height || box.x < free) return std::nullopt;
      runs.push_back(box);
    }
    if (begin > 0 && boxes[begin - 1].y + boxes[begin - 1].height > first.y) return std::nullopt;
    region.add_rows(first.y, first.height, runs);
  }
  if (region.boxes_ != boxes) return std::nullopt;
  return region;
}

RegionOfInterest RegionOfInterest::of_size(int64_t width, int64_t height) const {
  RegionOfInterest region = *this;
  if (on()) region.width_ = width, region.height_ = height;
  return region;
}

std::string RegionOfInterest::misfit(int64_t width, int64_t height) const {
  if (!on()) return "";
  if (width_ > 0 && (width != width_ || height != height_))
    return fmt::format("{} x {} pixels, and the region of interest is of images of {} x {}", width, height,
                       width_, height_);
  const Box box = bounds();
  if (box.x + box.width <= width && box.y + box.height <= height) return "";
  return fmt::format("the region of interest ({}) is not inside of its {} x {} pixels", text(), width,
                     height);
}

std::vector<uint8_t> RegionOfInterest::inside(const Box& box) const {
  std::vector<uint8_t> result(static_cast<size_t>(box.width * box.height));
  for (const Box& own : boxes_) {
    const int64_t left = std::max(own.x, box.x), right = std::min(own.x + own.width, box.x + box.width);
    if (left >= right) continue;
    const int64_t bottom = std::min(own.y + own.height, box.y + box.height);
    for (int64_t y = std::max(own.y, box.y); y < bottom; ++y)
      std::fill_n(result.begin() + (y - box.y) * box.width + (left - box.x), right - left, uint8_t{1});
  }
  return result;
}

std::vector<int64_t> RegionOfInterest::on_map(const MapPlace& place, int64_t rows, int64_t columns) const {
  std::vector<int64_t> counted;
  const auto centre = [](double begin, double size, int64_t i, int64_t count) {
    return static_cast<int64_t>(
        std::floor(begin + (static_cast<double>(i) + 0.5) * size / static_cast<double>(count)));
  };
  for (int64_t row = 0; row < rows; ++row) {
    const int64_t y = centre(place.y, place.height, row, rows);
    auto box = std::partition_point(boxes_.begin(), boxes_.end(),
                                    [&](const Box& own) { return own.y + own.height <= y; });
    for (int64_t column = 0; column < columns; ++column) {
      const int64_t x = centre(place.x, place.width, column, columns);
      while (box != boxes_.end() && box->y <= y && box->x + box->width <= x) ++box;
      if (box == boxes_.end() || box->y > y) break;
      if (box->x <= x) counted.push_back(row * columns + column);
    }
  }
  if (!counted.empty()) return counted;
  std::vector<uint8_t> touched(static_cast<size_t>(rows * columns));
  // Which of `count` pixels of a map an interval touches: the first, and the one behind the last.
  const auto range = [](double begin, double size, int64_t count, int64_t from, int64_t length) {
    const double scale = static_cast<double>(count) / size;
    const double first = std::floor((static_cast<double>(from) - begin) * scale),
                 end = std::ceil((static_cast<double>(from + length) - begin) * scale);
    return std::pair(static_cast<int64_t>(std::clamp(first, 0.0, static_cast<double>(count))),
                     static_cast<int64_t>(std::clamp(end, 0.0, static_cast<double>(count))));
  };
  for (const Box& box : boxes_) {
    const auto [left, right] = range(place.x, place.width, columns, box.x, box.width);
    const auto [top, bottom] = range(place.y, place.height, rows, box.y, box.height);
    for (int64_t row = top; row < bottom && left < right; ++row)
      std::fill_n(touched.begin() + row * columns + left, right - left, uint8_t{1});
  }
  for (size_t i = 0; i < touched.size(); ++i) {
    if (touched[i] != 0) counted.push_back(static_cast<int64_t>(i));
  }
  return counted;
}

bool RegionOfInterest::meets(const Image& mask) const {
  return std::any_of(boxes_.begin(), boxes_.end(), [&](const Box& box) {
    for (int64_t y = box.y; y < std::min(box.y + box.height, mask.height); ++y) {
      const uint8_t* row = mask.row(y);
      for (int64_t x = box.x; x < std::min(box.x + box.width, mask.width); ++x) {
        if (row[x] != 0) return true;
      }
    }
    return false;
  });
}

Box RegionOfInterest::bounds() const {
  if (!on()) return {};
  int64_t left = boxes_[0].x, right = 0;
  for (const Box& box : boxes_) left = std::min(left, box.x), right = std::max(right, box.x + box.width);
  const int64_t top = boxes_.front().y;
  return {left, top, right - left, boxes_.back().y + boxes_.back().height - top};
}

int64_t RegionOfInterest::pixels() const {
  int64_t count = 0;
  for (const Box& box : boxes_) count += box.width * box.height;
  return count;
}

std::string RegionOfInterest::flag() const {
  if (!on()) return "--roi none";
  if (boxes_.size() > most_listed) return fmt::format("--roi MASK ({})", text());
  std::string list;
  for (const Box& box : boxes_)
    list += fmt::format("{}{},{},{},{}", list.empty() ? "" : "+", box.x, box.y, box.width, box.height);
  return fmt::format("--roi {}", list);
}

std::string RegionOfInterest::text() const {
  const Box box = bounds();
  const std::string rectangle =
      fmt::format("{} x {} pixels at ({}, {})", box.width, box.height, box.x, box.y);
  return boxes_.size() == 1 ? rectangle : fmt::format("{} pixels within {}", pixels(), rectangle);
}

void keep_counted(std::vector<float>& values, std::span<const uint8_t> counted) {
  if (counted.empty()) return;
  check(values.size() == counted.size(), "keep_counted: {} values and {} flags", values.size(),
        counted.size());
  size_t kept = 0;
  for (size_t i = 0; i < values.size(); ++i) {
    if (counted[i] != 0) values[kept++] = values[i];
  }
  values.resize(kept);
}

}  // namespace dinomaly
