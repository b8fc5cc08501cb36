// load_mask(): which pixels a label mask means, in whatever encoding a labelling tool has written it.
#include <algorithm>
#include <array>
#include <memory>

#include "dinomaly/base/files.h"
#include "dinomaly/base/framework.h"
#include "dinomaly/image/exif.h"
#include "dinomaly/image/image.h"
#include "dinomaly/image/image_files.h"
#include "dinomaly/image/npy_format.h"
#include "dinomaly/image/pixel_rows.h"
#include "tensor/error.h"

namespace dinomaly {

namespace {

// What is said of a pixel; which of it decides is only known once all are read.
constexpr uint8_t has_value = 1;   // the colour is not black, the number not zero
constexpr uint8_t has_index = 2;   // the index of the palette is not 0
constexpr uint8_t is_visible = 4;  // the alpha is not 0

bool is_black(const std::array<uint8_t, 4>& colour) {
  return colour[0] == 0 && colour[1] == 0 && colour[2] == 0;
}

// Minus zero is zero.
bool is_zero(const uint8_t* sample, size_t bytes, bool is_floating) {
  for (size_t i = 0; i < bytes; ++i) {
    const uint8_t bits = is_floating && i + 1 == bytes ? sample[i] & 0x7f : sample[i];
    if (bits != 0) return false;
  }
  return true;
}

class MaskReader {
 public:
  explicit MaskReader(const PixelLayout& layout) : layout_(layout) {}

  void add(const uint8_t* row, uint8_t* flags) {
    const auto bytes = static_cast<size_t>(layout_.bits / 8),
               channels = static_cast<size_t>(layout_.channels);
    const bool alpha = channels % 2 == 0, floating = layout_.kind == PixelLayout::Kind::floating;
    for (int64_t x = 0; x < layout_.width; ++x, row += channels * bytes) {
      if (!layout_.palette.empty()) {
        used_[row[0]] = true;
        flags[x] = flags_of_index(row[0]);
        continue;
      }
      bool black = true;
      for (size_t c = 0; c < channels - alpha; ++c) {
        black = black && is_zero(row + c * bytes, bytes, floating);
      }
      const bool visible = !alpha || !is_zero(row + (channels - 1) * bytes, bytes, false);
      flags[x] = static_cast<uint8_t>((black ? 0 : has_value) | (visible ? is_visible : 0));
    }
  }

  // Turns flags into 0 and 255.
  void decide(std::vector<uint8_t>& flags) const {
    const uint8_t label = index_decides() ? has_index : has_value, both = label | is_visible;
    const auto is_labelled = [both](uint8_t flag) { return (flag & both) == both; };
    const auto is_hidden = [](uint8_t flag) { return (flag & is_visible) == 0; };
    const bool by_alpha = std::none_of(flags.begin(), flags.end(), is_labelled) &&
                          std::any_of(flags.begin(), flags.end(), is_hidden);
    for (uint8_t& flag : flags) flag = (by_alpha ? !is_hidden(flag) : is_labelled(flag)) ? 255 : 0;
  }

 private:
  uint8_t flags_of_index(uint8_t index) const {
    constexpr std::array<uint8_t, 4> unknown{0, 0, 0, 255};
    const auto& colour = index < layout_.palette.size() ? layout_.palette[index] : unknown;
    return static_cast<uint8_t>((is_black(colour) ? 0 : has_value) | (index > 0 ? has_index : 0) |
                                (colour[3] > 0 ? is_visible : 0));
  }
  // Palettes made from the colours of an image may list black anywhere; those of labels begin with it.
  bool index_decides() const {
    if (layout_.palette.empty()) return false;
    if (is_black(layout_.palette[0])) return true;
    for (size_t i = 1; i < layout_.palette.size(); ++i) {
      if (used_[i] && is_black(layout_.palette[i])) return false;
    }
    return true;
  }

  const PixelLayout& layout_;
  std::array<bool, 256> used_{};
};

// As large as the image may be, which is read in strips beyond the usual limits.
ReadLimits limits_for(int64_t width, int64_t height) {
  const ReadLimits usual;
  ReadLimits limits = usual.hold(width, height) ? usual : strip_limits;
  limits.advice = "";  // a mask of another size than its image's is of no use
  return limits;
}

void check_mask_size(const std::filesystem::path& path, int64_t own_width, int64_t own_height, int64_t width,
                     int64_t height) {
  check_input(own_width == width && own_height == height, "{}: the mask is {} x {}, its image {} x {} pixels",
              path.string(), own_width, own_height, width, height);
}

bool is_empty(const Image& mask) {
  return std::all_of(mask.pixels.begin(), mask.pixels.end(), [](uint8_t pixel) { return pixel == 0; });
}

void check_not_empty(const std::filesystem::path& path, const Image& mask) {
  check_input(!is_empty(mask), "{}: the mask is empty, but its image is called anomalous", path.string());
}

// As it lies in its file.
Image stored_mask(PixelRows& rows) {
  const PixelLayout& layout = rows.layout();
  Image mask(layout.width, layout.height, 1);
  MaskReader reader(layout);
  for (int64_t y = 0; y < layout.height; ++y) reader.add(rows.next(), mask.row(y));
  reader.decide(mask.pixels);
  return mask;
}

// Arrays of one channel, and those that are no images: of bool, of labels in 32 bits.
bool is_array_of_labels(const std::filesystem::path& path) {
  const std::string head = head_of(path);
  return is_npy(head) && (!is_npy_image(head) || read_npy_header(ByteReader(path, head)).channels == 1);
}

// 255 where a label of the file's bytes is not zero.
Image mask_of_labels(const std::string& bytes, const NpyLabels& labels) {
  Image mask(labels.width, labels.height, 1);
  const auto size = static_cast<size_t>(labels.bytes);
  for (size_t i = 0; i < mask.pixels.size(); ++i) {
    const char* label = bytes.data() + labels.begin + i * size;
    mask.pixels[i] = std::all_of(label, label + size, [](char byte) { return byte == 0; }) ? 0 : 255;
  }
  return mask;
}

Image load_labels(const std::filesystem::path& path, int64_t width, int64_t height) {
  constexpr uint64_t longest_header = 1 << 17, most_bytes = 8;
  const std::string bytes = read_file(
      path, longest_header + most_bytes * static_cast<uint64_t>(width) * static_cast<uint64_t>(height));
  const NpyLabels labels = read_npy_labels(ByteReader(path, bytes));
  check_mask_size(path, labels.width, labels.height, width, height);
  Image mask = mask_of_labels(bytes, labels);
  check_not_empty(path, mask);
  return mask;
}

}  // namespace

Image load_mask(const std::filesystem::path& path, int64_t width, int64_t height) {
  if (is_array_of_labels(path)) return load_labels(path, width, height);
  const std::unique_ptr<PixelRows> rows = open_pixels(path, limits_for(width, height));
  const PixelLayout& layout = rows->layout();
  const auto fits = [&](int64_t w, int64_t h) { return w == width && h == height; };
  const bool sideways = layout.orientation >= 5;
  const bool fits_turned = sideways ? fits(layout.height, layout.width) : fits(layout.width, layout.height);
  if (!fits_turned && !fits(layout.width, layout.height))
    check_mask_size(path, sideways ? layout.height : layout.width, sideways ? layout.width : layout.height,
                    width, height);
  Image mask = stored_mask(*rows);
  check_not_empty(path, mask);
  return fits_turned ? turned(std::move(mask), layout.orientation) : mask;
}

Image load_mask(const std::filesystem::path& path) {
  if (is_array_of_labels(path)) {
    const std::string bytes = read_file(path, strip_limits.bytes);
    const NpyLabels labels = read_npy_labels(ByteReader(path, bytes));
    check_input(strip_limits.hold(labels.width, labels.height), "{}: a mask of {} x {} pixels is too large",
                path.string(), labels.width, labels.height);
    return mask_of_labels(bytes, labels);
  }
  const std::unique_ptr<PixelRows> rows = open_pixels(path, strip_limits);
  return turned(stored_mask(*rows), rows->layout().orientation);
}

bool marks_anything(const std::filesystem::path& path) {
  if (!is_array_of_labels(path)) return !is_empty(stored_mask(*open_pixels(path, strip_limits)));
  const std::string bytes = read_file(path, strip_limits.bytes);
  const size_t begin = read_npy_labels(ByteReader(path, bytes)).begin;
  return std::any_of(bytes.begin() + static_cast<std::ptrdiff_t>(begin), bytes.end(),
                     [](char byte) { return byte != 0; });
}

}  // namespace dinomaly
