// BMP by stb_image, WebP by libwebp, and the two formats that are rows of numbers: BMP with a palette and PNM.
#include <webp/decode.h>

#include <algorithm>
#include <cstdlib>
#include <limits>

#include "dinomaly/base/framework.h"
#include "dinomaly/image/exif.h"
#include "dinomaly/image/image_format.h"
#include "dinomaly/image/pixel_formats.h"
#include "tensor/error.h"

#define STBI_NO_STDIO
#include <stb/stb_image.h>

namespace dinomaly {

namespace {

// Pixels that were decoded as a whole.
class WholeRows : public PixelRows {
 public:
  using Pixels = std::unique_ptr<uint8_t, void (*)(void*)>;
  WholeRows(const PixelLayout& layout, Pixels pixels) : pixels_(std::move(pixels)) { layout_ = layout; }
  const uint8_t* next() override { return pixels_.get() + layout_.width * layout_.channels * y_++; }

 private:
  Pixels pixels_;
  int64_t y_ = 0;
};

std::unique_ptr<PixelRows> decode_by_stb(const ImageFile& file) {
  const auto* data = reinterpret_cast<const stbi_uc*>(file.bytes.data());
  const int size = static_cast<int>(file.bytes.size());
  int width = 0, height = 0, channels = 0;
  const bool known = stbi_info_from_memory(data, size, &width, &height, &channels) != 0;
  check_input(known, "{}: cannot decode the image: {}", file.path.string(), stbi_failure_reason());
  height = std::abs(height);  // negative: a BMP whose first row is the top one
  file.check_size(width, height);
  WholeRows::Pixels pixels(stbi_load_from_memory(data, size, &width, &height, &channels, 0), stbi_image_free);
  check_input(pixels != nullptr, "{}: cannot decode the image: {}", file.path.string(),
              stbi_failure_reason());
  const PixelLayout layout{.width = width, .height = height, .channels = channels};
  return std::make_unique<WholeRows>(layout, std::move(pixels));
}

class IndexedBmpRows : public PixelRows {
 public:
  IndexedBmpRows(ImageFile file, const BmpHeader& header) : file_(std::move(file)), header_(header) {
    const ByteReader reader(file_.path, file_.bytes);
    layout_ = {.width = header.width, .height = header.height, .channels = 1};
    for (size_t i = 0; i < header.colours; ++i) {
      const size_t at = header.palette + i * header.entry;
      layout_.palette.push_back({reader.u8(at + 2), reader.u8(at + 1), reader.u8(at), 255});
    }
    row_.resize(static_cast<size_t>(header.width));
  }
  const uint8_t* next() override {
    const int64_t row = header_.from_top ? y_ : layout_.height - 1 - y_;
    const char* from = file_.bytes.data() + header_.pixels + row * header_.padded_row;
    const int64_t bits = header_.bits, mask = (1 << bits) - 1;
    for (int64_t x = 0; x < layout_.width; ++x) {
      const int64_t place = x * bits;
      row_[static_cast<size_t>(x)] =
          static_cast<uint8_t>(static_cast<uint8_t>(from[place / 8]) >> (8 - bits - place % 8) & mask);
    }
    ++y_;
    return row_.data();
  }

 private:
  ImageFile file_;
  BmpHeader header_;
  int64_t y_ = 0;
  std::vector<uint8_t> row_;
};

// Values are scaled to 0..255, or to 0..65535 where white is more than 255.
class PnmRows : public PixelRows {
 public:
  explicit PnmRows(ImageFile file)
      : file_(std::move(file)), reader_(file_.path, file_.bytes), header_(read_pnm_header(reader_)) {
    layout_ = {.width = header_.width, .height = header_.height, .channels = header_.channels};
    if (header_.largest > 255) layout_.bits = 16;
    at_ = header_.pixels;
    row_.resize(static_cast<size_t>(layout_.width * layout_.channels * layout_.bits / 8));
  }
  const uint8_t* next() override {
    const int64_t count = layout_.width * layout_.channels, white = layout_.bits == 16 ? 65535 : 255;
    for (int64_t i = 0; i < count; ++i) {
      const int64_t value = header_.binary ? binary(i) : text();
      check_input(value <= header_.largest, "{}: a value is {}, but its header says that the largest is {}",
                  reader_.name(), value, header_.largest);
      const int64_t scaled = (value * white + header_.largest / 2) / header_.largest;
      if (layout_.bits == 16)
        reinterpret_cast<uint16_t*>(row_.data())[i] = static_cast<uint16_t>(scaled);
      else
        row_[static_cast<size_t>(i)] = static_cast<uint8_t>(header_.bitmap ? 255 - scaled : scaled);
    }
    if (header_.binary && header_.bitmap) at_ += static_cast<size_t>((count + 7) / 8);
    return row_.data();
  }

 private:
  int64_t binary(int64_t i) {
    if (header_.bitmap) return reader_.u8(at_ + static_cast<size_t>(i / 8)) >> (7 - i % 8) & 1;
    const size_t size = header_.largest > 255 ? 2 : 1, at = at_;
    at_ += size;
    return size == 2 ? static_cast<int64_t>(reader_.big16(at)) : static_cast<int64_t>(reader_.u8(at));
  }
  // The next number; in a bitmap digits need no space between them.
  int64_t text() {
    const auto is_digit = [&](size_t at) {
      return at < reader_.size() && reader_.u8(at) >= '0' && reader_.u8(at) <= '9';
    };
    while (!is_digit(at_)) reader_.u8(at_++);
    int64_t value = 0;
    do {
      value = std::min<int64_t>(10 * value + reader_.u8(at_++) - '0', 1 << 20);
    } while (!header_.bitmap && is_digit(at_));
    return value;
  }

  ImageFile file_;
  ByteReader reader_;
  PnmHeader header_;
  size_t at_ = 0;
  std::vector<uint8_t> row_;
};

}  // namespace

std::unique_ptr<PixelRows> open_bmp(ImageFile file) {
  const BmpHeader header = read_bmp_header(ByteReader(file.path, file.bytes));
  file.check_size(header.width, header.height);
  const bool indexed = header.bits == 1 || header.bits == 4 || header.bits == 8;
  if (indexed) return std::make_unique<IndexedBmpRows>(std::move(file), header);
  return decode_by_stb(file);
}

std::unique_ptr<PixelRows> open_webp(ImageFile file) {
  const auto* data = reinterpret_cast<const uint8_t*>(file.bytes.data());
  WebPBitstreamFeatures features;
  const bool known = WebPGetFeatures(data, file.bytes.size(), &features) == VP8_STATUS_OK;
  check_input(known, "{}: cannot decode the image: not a sound WebP", file.path.string());
  file.check_size(features.width, features.height);
  PixelLayout layout{.width = features.width, .height = features.height};
  layout.channels = features.has_alpha != 0 ? 4 : 3;
  layout.orientation = exif_orientation(file.path, file.bytes);
  const auto decode = features.has_alpha != 0 ? WebPDecodeRGBA : WebPDecodeRGB;
  WholeRows::Pixels pixels(decode(data, file.bytes.size(), nullptr, nullptr), WebPFree);
  check_input(pixels != nullptr, "{}: cannot decode the image: the WebP is damaged", file.path.string());
  return std::make_unique<WholeRows>(layout, std::move(pixels));
}

std::unique_ptr<PixelRows> open_pnm(ImageFile file) {
  const PnmHeader header = read_pnm_header(ByteReader(file.path, file.bytes));
  file.check_size(header.width, header.height);
  return std::make_unique<PnmRows>(std::move(file));
}

}  // namespace dinomaly
