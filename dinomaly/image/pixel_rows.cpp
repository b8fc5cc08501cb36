#include "dinomaly/image/pixel_rows.h"

#include <algorithm>
#include <cstring>

#include "dinomaly/base/files.h"
#include "dinomaly/base/framework.h"
#include "dinomaly/base/numbers.h"
#include "dinomaly/image/exif.h"
#include "dinomaly/image/image_files.h"
#include "dinomaly/image/image_format.h"
#include "dinomaly/image/pixel_formats.h"
#include "dinomaly/image/tiff_file.h"
#include "tensor/error.h"

namespace dinomaly {

namespace {

std::unique_ptr<PixelRows> open_bytes(ImageFile file, Samples samples) {
  switch (format_of(file.bytes)) {
    case ImageFormat::png:
      return open_png(std::move(file));
    case ImageFormat::jpeg:
      return open_jpeg(std::move(file));
    case ImageFormat::bmp:
      return open_bmp(std::move(file));
    case ImageFormat::webp:
      return open_webp(std::move(file));
    case ImageFormat::npy:
      return open_npy(std::move(file), samples);
    default:
      return open_pnm(std::move(file));
  }
}

// Grey and RGB are made of what there is, other channels are those of the file.
Samples samples_for(int64_t channels) {
  return channels == 0 || channels == 1 || channels == 3 ? Samples::colours : Samples::all;
}

// The eight bits that `rules` keep of a sample of 16.
auto to_eight_bits(const PixelLayout& layout, const PixelRules& rules) {
  const bool whole = layout.full_range || rules.bit_depth == 0;
  const int64_t shift = whole ? 8 : rules.bit_depth - 8;
  return [shift](uint16_t value) { return static_cast<uint8_t>(std::min(value >> shift, 255)); };
}

}  // namespace

std::string hint_for_channels(int64_t found) {
  if (found < 1 || found > most_channels) return {};
  return fmt::format("; a model trained with --channels {} takes them", found);
}

void ImageFile::check_size(int64_t width, int64_t height) const {
  check_input(width > 0 && height > 0 && width <= limits.side && height <= limits.side,
              "{}: {} x {} pixels; a side must be within 1..{}{}", path.string(), width, height, limits.side,
              limits.advice);
  check_input(width * height <= limits.pixels, "{}: {} x {} pixels are more than the limit of {}{}",
              path.string(), width, height, limits.pixels, limits.advice);
}

std::unique_ptr<PixelRows> open_pixels(const std::filesystem::path& path, const ReadLimits& limits,
                                       Samples samples) {
  const std::string head = head_of(path);
  if (format_of(head) == ImageFormat::tiff && foreign_format(head, path).empty())
    return open_tiff(path, limits, samples);
  ImageFile file{path, read_file(path, limits.bytes), limits};
  check_image_file(path, file.bytes);
  return open_bytes(std::move(file), samples);
}

// Throws InputError unless the pixels are those of an image with so many channels.
static void check_picture(const PixelLayout& layout, const std::filesystem::path& path, int64_t channels) {
  check_input(layout.kind == PixelLayout::Kind::brightness,
              "{}: {}; images have unsigned integers of 1 to 16 bits (is this a map, or labels?)",
              path.string(), layout.numbers);
  if (samples_for(channels) == Samples::colours) return;
  check_input(layout.palette.empty(), "{}: colours of a palette, but {} channels are expected", path.string(),
              channels);
  check_input(layout.channels == channels,
              "{}: {}, but {} are expected: a model takes as many as it was trained with (train --channels)",
              path.string(),
              counted(layout.channels, layout.pages ? "page of one channel" : "channel",
                      layout.pages ? "pages of one channel" : ""),
              channels);
}

std::unique_ptr<PixelRows> open_picture(const std::filesystem::path& path, const ReadLimits& limits,
                                        int64_t channels) {
  std::unique_ptr<PixelRows> rows = open_pixels(path, limits, samples_for(channels));
  check_picture(rows->layout(), path, channels);
  return rows;
}

std::unique_ptr<PixelRows> open_picture(const std::filesystem::path& name, std::string bytes,
                                        const ReadLimits& limits, int64_t channels) {
  check_image_file(name, bytes);
  const Samples samples = samples_for(channels);
  std::unique_ptr<PixelRows> rows = format_of(bytes) == ImageFormat::tiff
                                        ? open_tiff({name, std::move(bytes)}, limits, samples)
                                        : open_bytes({name, std::move(bytes), limits}, samples);
  check_picture(rows->layout(), name, channels);
  return rows;
}

int64_t largest_deep_sample(const std::filesystem::path& path, int64_t enough, int64_t channels) {
  const std::string head = head_of(path);
  const ImageFormat format = format_of(head);
  constexpr size_t depth_in_png = 24;
  const bool deep_png = format == ImageFormat::png && head.size() > depth_in_png && head[depth_in_png] == 16;
  if (!deep_png && format != ImageFormat::tiff && format != ImageFormat::npy) return 0;
  const Samples samples = samples_for(channels);
  const std::unique_ptr<PixelRows> rows = open_pixels(path, {}, samples);
  const PixelLayout& layout = rows->layout();
  if (layout.full_range || layout.kind != PixelLayout::Kind::brightness) return 0;
  const bool has_alpha = samples == Samples::colours && layout.channels % 2 == 0;
  uint16_t largest = 0;
  for (int64_t y = 0; y < layout.height && largest < enough; ++y) {
    const auto* samples = reinterpret_cast<const uint16_t*>(rows->next());
    for (int64_t i = 0; i < layout.width * layout.channels; ++i) {
      const bool alpha = has_alpha && i % layout.channels == layout.channels - 1;
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
  const auto high = to_eight_bits(layout, rules);
  const auto* sample = reinterpret_cast<const uint16_t*>(row);
  for (int64_t x = 0; x < layout.width; ++x, sample += channels, rgb += 3) {
    rgb[0] = high(sample[0]), rgb[1] = high(sample[green]), rgb[2] = high(sample[blue]);
  }
}

void row_to_channels(const PixelLayout& layout, const PixelRules& rules, const uint8_t* row, uint8_t* out) {
  if (rules.channels == 3) return row_to_rgb(layout, rules, row, out);
  check(layout.channels == rules.channels && layout.palette.empty(), "row_to_channels: {} of {} channels",
        rules.channels, layout.channels);
  const int64_t count = layout.width * layout.channels;
  const auto* deep = reinterpret_cast<const uint16_t*>(row);
  if (layout.bits == 8)
    std::memcpy(out, row, static_cast<size_t>(count));
  else
    std::transform(deep, deep + count, out, to_eight_bits(layout, rules));
}

ImageSize size_of(const PixelLayout& layout, const PixelRules& rules) {
  const bool sideways = rules.exif_orientation && layout.orientation >= 5;
  return sideways ? ImageSize{layout.height, layout.width} : ImageSize{layout.width, layout.height};
}

Image whole_image(PixelRows& rows, const PixelRules& rules) {
  const PixelLayout& layout = rows.layout();
  Image image(layout.width, layout.height, rules.channels);
  for (int64_t y = 0; y < layout.height; ++y) row_to_channels(layout, rules, rows.next(), image.row(y));
  return rules.exif_orientation ? turned(std::move(image), layout.orientation) : image;
}

}  // namespace dinomaly
