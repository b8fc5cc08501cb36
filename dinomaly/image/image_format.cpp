#include "dinomaly/image/image_format.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>
#include <cstdlib>
#include <set>

#include "dinomaly/base/framework.h"
#include "tensor/error.h"

namespace dinomaly {

namespace {

// Unsigned bytes with bounds: reading past the end is the "cut short" error.
class Reader {
 public:
  Reader(const std::filesystem::path& path, std::string_view bytes) : name_(path.string()), bytes_(bytes) {}

  const std::string& name() const { return name_; }
  size_t size() const { return bytes_.size(); }
  void need(size_t end) const { check_input(end <= size(), "{}: the image is cut short", name_); }
  uint8_t u8(size_t at) const {
    need(at + 1);
    return static_cast<uint8_t>(bytes_[at]);
  }
  uint32_t big16(size_t at) const { return uint32_t{u8(at)} << 8 | u8(at + 1); }
  uint32_t big32(size_t at) const { return big16(at) << 16 | big16(at + 2); }
  uint32_t little16(size_t at) const { return uint32_t{u8(at + 1)} << 8 | u8(at); }
  uint32_t little32(size_t at) const { return little16(at + 2) << 16 | little16(at); }
  std::string_view text(size_t at, size_t length) const {
    need(at + length);
    return bytes_.substr(at, length);
  }

 private:
  std::string name_;
  std::string_view bytes_;
};

// CRC-32 of ISO 3309, as the PNG specification (section 5.5) prescribes for chunk type and data.
uint32_t crc32(std::string_view bytes) {
  static const std::array<uint32_t, 256> table = [] {
    std::array<uint32_t, 256> entries{};
    for (uint32_t byte = 0; byte < 256; ++byte) {
      uint32_t value = byte;
      for (int bit = 0; bit < 8; ++bit) value = (value >> 1) ^ ((value & 1) ? 0xEDB88320u : 0u);
      entries[byte] = value;
    }
    return entries;
  }();
  uint32_t crc = 0xFFFFFFFFu;
  for (char byte : bytes) crc = table[(crc ^ static_cast<uint8_t>(byte)) & 0xFF] ^ (crc >> 8);
  return ~crc;
}

constexpr int64_t largest_side = 32768;

// The decoder would report such a file as one of unknown type.
void check_sides(const Reader& file, int64_t width, int64_t height) {
  check_input(width > 0 && height > 0 && width <= largest_side && height <= largest_side,
              "{}: {} x {} pixels; a side must be within 1..{}", file.name(), width, height, largest_side);
}

void check_png(const Reader& file) {
  for (size_t at = 8;;) {
    const size_t length = file.big32(at);
    const std::string_view type = file.text(at + 4, 4);
    file.need(at + 12 + length);
    // An upper-case first letter marks what a decoder cannot do without.
    const bool critical = type[0] >= 'A' && type[0] <= 'Z';
    if (critical) {
      check_input(crc32(file.text(at + 4, 4 + length)) == file.big32(at + 8 + length),
                  "{}: the PNG is damaged: wrong checksum at byte {}", file.name(), at);
    }
    if (type == "IHDR" && length >= 8) check_sides(file, file.big32(at + 8), file.big32(at + 12));
    if (type == "IEND") return;
    at += 12 + length;
  }
}

bool starts_frame(uint8_t marker) {
  return marker >= 0xC0 && marker <= 0xCF && marker != 0xC4 && marker != 0xC8 && marker != 0xCC;
}

bool stands_alone(uint8_t marker) { return marker == 0x01 || (marker >= 0xD0 && marker <= 0xD8); }

// What the decoder takes on trust: the number of codes in a Huffman table, and that the tables a scan uses
// exist. If they do not, it would read its own uninitialised memory, and beyond.
class JpegTables {
 public:
  explicit JpegTables(const Reader& file) : file_(file) {}

  void define_huffman(size_t at, size_t end) {
    while (at < end) {
      const uint8_t slot = file_.u8(at);
      size_t codes = 0;
      for (size_t length = 1; length <= 16; ++length) codes += file_.u8(at + length);
      check_input(codes <= 256, "{}: the JPEG is damaged: a Huffman table of {} codes", file_.name(), codes);
      huffman_.insert(slot);
      at += 17 + codes;
    }
  }
  void define_quantisation(size_t at, size_t end) {
    while (at < end) {
      const uint8_t slot = file_.u8(at);
      quantisation_.insert(slot & 15);
      at += slot >> 4 ? 129 : 65;
    }
  }
  // A frame's header: its components and their quantisation tables.
  void begin_frame(size_t at, bool progressive) {
    progressive_ = progressive;
    check_sides(file_, file_.big16(at + 5), file_.big16(at + 3));
    const int components = file_.u8(at + 7);
    check_input(components == 1 || components == 3,
                "{}: a JPEG with {} components (CMYK?); only grey and colour are supported", file_.name(),
                components);
    for (int i = 0; i < components; ++i)
      needed_quantisation_.insert(file_.u8(at + 10 + 3 * static_cast<size_t>(i)));
  }
  // A scan's header. The first, coarse pass of a progressive scan needs no AC table, the others no DC table.
  void begin_scan(size_t at) const {
    const size_t components = file_.u8(at + 2), spectral = at + 3 + 2 * components;
    const bool coarse = file_.u8(spectral) == 0;
    bool known = std::includes(quantisation_.begin(), quantisation_.end(), needed_quantisation_.begin(),
                               needed_quantisation_.end());
    for (size_t i = 0; i < components; ++i) {
      const uint8_t tables = file_.u8(at + 4 + 2 * i);
      if (!progressive_ || coarse) known = known && huffman_.contains(tables >> 4);
      if (!progressive_ || !coarse) known = known && huffman_.contains(0x10 | (tables & 15));
    }
    check_input(known, "{}: the JPEG is damaged: a scan uses a missing table", file_.name());
  }

 private:
  const Reader& file_;
  bool progressive_ = false;
  std::set<uint8_t> huffman_, quantisation_, needed_quantisation_;  // by slot; 0x10: AC
};

// Walks the segments. Inside entropy-coded data an FF is followed by 00 or a restart marker, so the
// search for the next marker also passes over it, and an embedded thumbnail's own end cannot be mistaken
// for the file's.
void check_jpeg(const Reader& file) {
  constexpr uint8_t end_of_image = 0xD9, huffman = 0xC4, quantisation = 0xDB, scan = 0xDA, progressive = 0xC2;
  JpegTables tables(file);
  for (size_t at = 2;;) {
    while (file.u8(at) != 0xFF) ++at;
    while (file.u8(at) == 0xFF) ++at;
    const uint8_t marker = file.u8(at++);
    if (marker == end_of_image) return;
    if (marker == 0 || stands_alone(marker)) continue;
    const size_t length = file.big16(at);
    check_input(length >= 2, "{}: the JPEG is damaged: a segment of length {}", file.name(), length);
    file.need(at + length);
    if (starts_frame(marker)) tables.begin_frame(at, marker == progressive);
    if (marker == huffman) tables.define_huffman(at + 2, at + length);
    if (marker == quantisation) tables.define_quantisation(at + 2, at + length);
    if (marker == scan) tables.begin_scan(at);
    at += length;
  }
}

void check_bmp(const Reader& file) {
  const size_t offset = file.little32(10);
  const bool old_header = file.little32(14) == 12;
  const int64_t width = old_header ? file.little16(18) : static_cast<int32_t>(file.little32(18));
  // A negative height means rows from the top.
  const int64_t height =
      std::abs(old_header ? file.little16(20) : int64_t{static_cast<int32_t>(file.little32(22))});
  const int64_t bits = file.little16(old_header ? 24 : 28);
  check_sides(file, width, height);
  check_input(bits <= 32, "{}: a BMP of {} bits per pixel cannot be read", file.name(), bits);
  const int64_t padded_row = (width * bits + 31) / 32 * 4;
  file.need(offset + static_cast<size_t>(padded_row * (height - 1) + (width * bits + 7) / 8));
}

}  // namespace

void check_image_file(const std::filesystem::path& path, std::string_view bytes) {
  const Reader file(path, bytes);
  check_input(!bytes.empty(), "{}: the file is empty", file.name());
  if (bytes.starts_with("\x89PNG\r\n\x1a\n")) return check_png(file);
  if (bytes.starts_with("\xFF\xD8")) return check_jpeg(file);
  if (bytes.starts_with("BM")) return check_bmp(file);
  fail_input("{}: not a PNG, JPEG or BMP image", file.name());
}

}  // namespace dinomaly
