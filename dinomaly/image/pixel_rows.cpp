#include "dinomaly/image/pixel_rows.h"

#include <algorithm>
#include <cstring>

#include "dinomaly/base/files.h"
#include "dinomaly/base/framework.h"
#include "dinomaly/image/exif.h"
#include "dinomaly/image/image_files.h"
#include "dinomaly/image/image_format.h"
#include "dinomaly/image/pixel_formats.h"
#include "tensor/error.h"

namespace dinomaly {

namespace {

std::unique_ptr<PixelRows> open_bytes(ImageFile file) {
  switch (format_of(file.bytes)) {
    case ImageFormat::png:
      return open_png(std::move(file));
    case ImageFormat::jpeg:
      return open_jpeg(std::move(file));
    case ImageFormat::bmp:
      return open_bmp(std::move(file));
    case ImageFormat::webp:
      return open_webp(std::move(file));
    default:
      return open_pnm(std::move(file));
  }
}

}  // namespace

const char* ReadLimits::advice() const {
  return pixels < strip_limits.pixels ? " (predict --tile reads larger ones in strips)" : "";
}

void ImageFile::check_size(int64_t width, int64_t height) const {
  check_input(width > 0 && height > 0 && width <= limits.side && height <= limits.side,
              "{}: {} x {} pixels; a side must be within 1..{}{}", path.string(), width, height, limits.side,
              limits.advice());
  check_input(width * height <= limits.pixels, "{}: {} x {} pixels are more than the limit of {}{}",
              path.string(), width, height, limits.pixels, limits.advice());
}

std::unique_ptr<PixelRows> open_pixels(const std::filesystem::path& path, const ReadLimits& limits) {
  const std::string head = head_of(path);
  if (format_of(head) == ImageFormat::tiff && foreign_format(head, path).empty())
    return open_tiff(path, limits);
  ImageFile file{path, read_file(path, limits.bytes), limits};
  check_image_file(path, file.bytes);
  return open_bytes(std::move(file));
}

std::unique_ptr<PixelRows> open_picture(const std::filesystem::path& path, const ReadLimits& limits) {
  std::unique_ptr<PixelRows> rows = open_pixels(path, limits);
  check_input(rows->layout().kind == PixelLayout::Kind::brightness,
              "{}: values of {} bits are no brightness: a map or labels, not an image", path.string(),
              rows->layout().bits);
  return rows;
}

int64_t largest_deep_sample(const std::filesystem::path& path, int64_t enough) {
  const std::string head = head_of(path);
  const ImageFormat format = format_of(head);
  constexpr size_t depth_in_png = 24;
  const bool deep_png = format == ImageFormat::png && head.size() > depth_in_png && head[depth_in_png] == 16;
  if (!deep_png && format != ImageFormat::tiff) return 0;
  const std::unique_ptr<PixelRows> rows = open_pixels(path);
  const PixelLayout& layout = rows->layout();
  if (layout.full_range || layout.kind != PixelLayout::Kind::brightness) return 0;
  uint16_t largest = 0;
  for (int64_t y = 0; y < layout.height && largest < enough; ++y) {
    const auto* samples = reinterpret_cast<const uint16_t*>(rows->next());
    for (int64_t i = 0; i < layout.width * layout.channels; ++i) {
      const bool alpha = layout.channels % 2 == 0 && i % layout.channels == layout.channels - 1;
      if (!alpha) largest = std::max(largest, samples[i]);
    }
  }
  return largest;
}

void row_to_rgb(const PixelLayout& layout, const PixelRules& rules, const uint8_t* row, uint8_t* rgb) {
  const int64_t channels = layout.channels;
  if (!layout.palette.empty()) {
    for (int64_t x = 0; x < layout.width; ++x, rgb += 3) {
      const size_t index = row[x];
      if (index < layout.palette.size())
        std::copy_n(layout.palette[index].data(), 3, rgb);
      else
        std::fill_n(rgb, 3, uint8_t{0});
    }
    return;
  }
  const int64_t green = channels >= 3 ? 1 : 0, blue = channels >= 3 ? 2 : 0;
  if (layout.bits == 8) {
    if (channels == 3) {
      std::memcpy(rgb, row, static_cast<size_t>(3 * layout.width));
      return;
    }
    for (int64_t x = 0; x < layout.width; ++x, row += channels, rgb += 3) {
      rgb[0] = row[0], rgb[1] = row[green], rgb[2] = row[blue];
    }
    return;
  }
  const bool whole = layout.full_range || rules.bit_depth == 0;
  const int64_t shift = whole ? 8 : rules.bit_depth - 8;
  const auto* sample = reinterpret_cast<const uint16_t*>(row);
  const auto high = [shift](uint16_t value) { return static_cast<uint8_t>(std::min(value >> shift, 255)); };
  for (int64_t x = 0; x < layout.width; ++x, sample += channels, rgb += 3) {
    rgb[0] = high(sample[0]), rgb[1] = high(sample[green]), rgb[2] = high(sample[blue]);
  }
}

ImageSize size_of(const PixelLayout& layout, const PixelRules& rules) {
  const bool sideways = rules.exif_orientation && layout.orientation >= 5;
  return sideways ? ImageSize{layout.height, layout.width} : ImageSize{layout.width, layout.height};
}

Image whole_image(PixelRows& rows, const PixelRules& rules) {
  const PixelLayout& layout = rows.layout();
  Image image(layout.width, layout.height, 3);
  for (int64_t y = 0; y < layout.height; ++y) row_to_rgb(layout, rules, rows.next(), image.row(y));
  return rules.exif_orientation ? turned(std::move(image), layout.orientation) : image;
}

}  // namespace dinomaly
