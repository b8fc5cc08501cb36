// TIFF images: samples become brightness, indices or, where they are neither, values that only a mask can have.
#include <algorithm>
#include <cstring>
#include <string>
#include <utility>

#include "dinomaly/base/framework.h"
#include "dinomaly/base/numbers.h"
#include "dinomaly/image/pixel_formats.h"
#include "dinomaly/image/tiff_file.h"
#include "tensor/error.h"

namespace dinomaly {

namespace {

std::string colour_space(uint16_t photometric) {
  switch (photometric) {
    case PHOTOMETRIC_SEPARATED:
      return "CMYK";
    case PHOTOMETRIC_YCBCR:
      return "YCbCr";
    case PHOTOMETRIC_CIELAB:
    case PHOTOMETRIC_ICCLAB:
    case PHOTOMETRIC_ITULAB:
      return "L*a*b*";
    case PHOTOMETRIC_CFA:
      return "a camera's raw colours";
    default:
      return fmt::format("colour space {}", photometric);
  }
}

// What samples that are no brightness are.
std::string describe_numbers(const TiffLayout& stored) {
  const char* kind = "unsigned integers";
  if (stored.format == SAMPLEFORMAT_INT) kind = "signed integers";
  if (stored.format == SAMPLEFORMAT_IEEEFP) kind = "floating-point numbers";
  if (stored.format == SAMPLEFORMAT_COMPLEXINT || stored.format == SAMPLEFORMAT_COMPLEXIEEEFP)
    kind = "complex numbers";
  return fmt::format("{} of {}", kind, counted(stored.bits, "bit"));
}

class TiffRows : public PixelRows {
 public:
  TiffRows(TiffFile file, const std::filesystem::path& path, Samples wanted)
      : name_(path.string()), file_(std::move(file)) {
    const TiffLayout& stored = file_.layout();
    layout_ = {.width = stored.width, .height = stored.height};
    layout_.orientation = stored.orientation;
    layout_.bits = static_cast<int64_t>(8 * stored.sample_bytes());
    layout_.full_range = stored.bits != 16;
    if (stored.format == SAMPLEFORMAT_IEEEFP)
      layout_.kind = PixelLayout::Kind::floating;
    else if (stored.bits > 16 || (stored.format != SAMPLEFORMAT_UINT && stored.format != SAMPLEFORMAT_VOID))
      layout_.kind = PixelLayout::Kind::integer;
    if (layout_.kind != PixelLayout::Kind::brightness) layout_.numbers = describe_numbers(stored);
    switch (stored.photometric) {
      case PHOTOMETRIC_MINISWHITE:
      case PHOTOMETRIC_MINISBLACK:
      case PHOTOMETRIC_MASK:
        colours_ = 1;
        break;
      case PHOTOMETRIC_RGB:
        colours_ = 3;
        break;
      case PHOTOMETRIC_PALETTE:
        colours_ = 1;
        read_palette();
        break;
      default:
        fail_input("{}: a TIFF in {} is not read, only in grey, RGB or with a palette", name_,
                   colour_space(stored.photometric));
    }
    if (wanted == Samples::all) {
      layout_.channels = stored.samples;
      return;
    }
    const int64_t further = int64_t{stored.samples} - colours_;
    check_input(further == 0 || further == 1,
                "{}: a TIFF of {} samples per pixel is not read where grey or RGB is expected{}", name_,
                stored.samples, hint_for_channels(stored.samples));
    layout_.channels = colours_ + (further == 1 && has_alpha() ? 1 : 0);
    if (layout_.channels != stored.samples) row_.resize(row_bytes());
  }

  const uint8_t* next() override {
    const TiffLayout& stored = file_.layout();
    const uint8_t* from = file_.next();
    if (layout_.channels != stored.samples) from = without_further(from);
    if (layout_.kind != PixelLayout::Kind::brightness || !layout_.palette.empty()) return from;
    const bool inverted = stored.photometric == PHOTOMETRIC_MINISWHITE;
    if (!inverted && stored.bits % 8 == 0) return from;
    row_.resize(row_bytes());
    const size_t count = row_.size() / stored.sample_bytes();
    if (stored.sample_bytes() == 1)
      scale(from, count, inverted, 255, row_.data());
    else
      scale(reinterpret_cast<const uint16_t*>(from), count, inverted, 65535,
            reinterpret_cast<uint16_t*>(row_.data()));
    return row_.data();
  }

 private:
  size_t row_bytes() const {
    return static_cast<size_t>(layout_.width * layout_.channels * layout_.bits / 8);
  }

  // Whether the sample behind the colours is an alpha; others mean nothing known.
  bool has_alpha() const {
    uint16_t count = 0;
    const uint16_t* kinds = nullptr;
    return TIFFGetField(file_.get(), TIFFTAG_EXTRASAMPLES, &count, &kinds) == 1 && count == 1 &&
           (kinds[0] == EXTRASAMPLE_ASSOCALPHA || kinds[0] == EXTRASAMPLE_UNASSALPHA);
  }

  void read_palette() {
    const TiffLayout& stored = file_.layout();
    uint16_t *red = nullptr, *green = nullptr, *blue = nullptr;
    check_input(stored.bits <= 8, "{}: a TIFF with a palette of {} bits is not read, only of 1 to 8 bits",
                name_, stored.bits);
    check_input(TIFFGetField(file_.get(), TIFFTAG_COLORMAP, &red, &green, &blue) == 1,
                "{}: the TIFF lacks the palette that its pixels point to", name_);
    const size_t count = size_t{1} << stored.bits;
    // Some programs write 8 bits where the format asks for 16.
    const auto small = [count](const uint16_t* map) {
      return std::all_of(map, map + count, [](uint16_t value) { return value < 256; });
    };
    const int shift = small(red) && small(green) && small(blue) ? 0 : 8;
    for (size_t i = 0; i < count; ++i) {
      layout_.palette.push_back({static_cast<uint8_t>(red[i] >> shift),
                                 static_cast<uint8_t>(green[i] >> shift),
                                 static_cast<uint8_t>(blue[i] >> shift), 255});
    }
  }

  const uint8_t* without_further(const uint8_t* from) {
    const TiffLayout& stored = file_.layout();
    const size_t kept = static_cast<size_t>(layout_.channels) * stored.sample_bytes(),
                 all = stored.samples * stored.sample_bytes();
    for (size_t x = 0; x < stored.width; ++x) std::copy_n(from + x * all, kept, row_.data() + x * kept);
    return row_.data();
  }

  // Brightness over the whole range: of 12 bits 4095 becomes 65535. An alpha is not inverted.
  template <class T>
  void scale(const T* from, size_t count, bool inverted, uint32_t white, T* to) const {
    const uint32_t largest = (1u << file_.layout().bits) - 1;
    const auto channels = static_cast<size_t>(layout_.channels), colours = static_cast<size_t>(colours_);
    for (size_t i = 0; i < count; ++i) {
      const uint32_t value = inverted && i % channels < colours ? largest - from[i] : from[i];
      to[i] = static_cast<T>(uint64_t{value} * white / largest);
    }
  }

  std::string name_;
  TiffFile file_;
  int64_t colours_ = 1;
  std::vector<uint8_t> row_;
};

// Pages of one brightness each, as the channels of one image.
class TiffPages : public PixelRows {
 public:
  TiffPages(const TiffSource& source, const ReadLimits& limits, const std::vector<tdir_t>& pages) {
    const std::filesystem::path& path = source.path;
    check_input(pages.size() <= static_cast<size_t>(most_channels),
                "{}: a TIFF of {} pages; as channels at most {} are read", path.string(), pages.size(),
                most_channels);
    for (size_t page = 0; page < pages.size(); ++page) {
      pages_.push_back(std::make_unique<TiffRows>(TiffFile(source, limits, pages, page), path, Samples::all));
      const PixelLayout &first = pages_[0]->layout(), &layout = pages_[page]->layout();
      check_input(layout.channels == 1 && layout.palette.empty(),
                  "{}: page {} has {}; pages are read as channels where each has one brightness per pixel",
                  path.string(), page + 1,
                  layout.palette.empty() ? counted(layout.channels, "channel") : "colours of a palette");
      const bool alike = layout.width == first.width && layout.height == first.height &&
                         layout.bits == first.bits && layout.full_range == first.full_range &&
                         layout.numbers == first.numbers && layout.orientation == first.orientation;
      check_input(alike,
                  "{}: page {} differs from the first in size or type ({} x {} of {} bits and {} x {} of {} "
                  "bits, or another orientation); pages are read as channels where all are alike",
                  path.string(), page + 1, layout.width, layout.height, layout.bits, first.width,
                  first.height, first.bits);
    }
    layout_ = pages_[0]->layout();
    layout_.channels = static_cast<int64_t>(pages_.size());
    layout_.pages = true;
    row_.resize(static_cast<size_t>(layout_.width * layout_.channels * layout_.bits / 8));
  }

  const uint8_t* next() override {
    const auto bytes = static_cast<size_t>(layout_.bits / 8);
    for (size_t page = 0; page < pages_.size(); ++page) {
      const uint8_t* from = pages_[page]->next();
      for (size_t x = 0; x < static_cast<size_t>(layout_.width); ++x)
        std::memcpy(row_.data() + (x * pages_.size() + page) * bytes, from + x * bytes, bytes);
    }
    return row_.data();
  }

 private:
  std::vector<std::unique_ptr<TiffRows>> pages_;
  std::vector<uint8_t> row_;
};

}  // namespace

std::unique_ptr<PixelRows> open_tiff(const TiffSource& source, const ReadLimits& limits, Samples samples) {
  if (samples == Samples::all) {
    const std::vector<tdir_t> pages = pages_of(source);
    if (pages.size() > 1) return std::make_unique<TiffPages>(source, limits, pages);
  }
  return std::make_unique<TiffRows>(TiffFile(source, limits), source.path, samples);
}

}  // namespace dinomaly
