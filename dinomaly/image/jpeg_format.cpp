#include "dinomaly/image/jpeg_format.h"

#include <algorithm>
#include <cstdint>
#include <set>

#include "dinomaly/base/framework.h"
#include "dinomaly/image/image_format.h"
#include "tensor/error.h"

namespace dinomaly {

namespace {

bool starts_frame(uint8_t marker) {
  return marker >= 0xC0 && marker <= 0xCF && marker != 0xC4 && marker != 0xC8 && marker != 0xCC;
}

bool stands_alone(uint8_t marker) { return marker == 0x01 || (marker >= 0xD0 && marker <= 0xD8); }

// What the decoder takes on trust: the number of codes in a Huffman table, and that the tables a scan uses
// exist. If they do not, it would read its own uninitialised memory, and beyond.
class JpegTables {
 public:
  explicit JpegTables(const ByteReader& file) : file_(file) {}

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
  void begin_frame(size_t at, uint8_t marker) {
    constexpr uint8_t baseline = 0xC0, extended = 0xC1, progressive = 0xC2;
    check_input(marker == baseline || marker == extended || marker == progressive,
                "{}: a JPEG in {} coding cannot be read", file_.name(),
                marker == 0xC3 || marker == 0xC7 || marker == 0xCB || marker == 0xCF ? "lossless"
                : marker >= 0xC9                                                     ? "arithmetic"
                                                                                     : "hierarchical");
    progressive_ = marker == progressive;
    check_input(file_.u8(at + 2) == 8, "{}: a JPEG of {} bits per sample cannot be read, only of 8",
                file_.name(), file_.u8(at + 2));
    check_sides(file_, file_.big16(at + 5), file_.big16(at + 3));
    const int components = file_.u8(at + 7);
    check_input(components == 1 || components == 3,
                "{}: a JPEG with {} components (CMYK?); only grey and colour are supported", file_.name(),
                components);
    for (int i = 0; i < components; ++i)
      needed_quantisation_.insert(file_.u8(at + 10 + 3 * static_cast<size_t>(i)));
  }
  // A scan's header. The first, coarse pass of a progressive scan needs no AC table, the others no DC table.
  void begin_scan(size_t at) {
    const size_t components = file_.u8(at + 2), spectral = at + 3 + 2 * components;
    const bool coarse = file_.u8(spectral) == 0;
    if (huffman_.empty() && !progressive_) {
      lacks_huffman_ = true;
      huffman_ = {0x00, 0x01, 0x10, 0x11};
    }
    bool known = std::includes(quantisation_.begin(), quantisation_.end(), needed_quantisation_.begin(),
                               needed_quantisation_.end());
    for (size_t i = 0; i < components; ++i) {
      const uint8_t tables = file_.u8(at + 4 + 2 * i);
      if (!progressive_ || coarse) known = known && huffman_.contains(tables >> 4);
      if (!progressive_ || !coarse) known = known && huffman_.contains(0x10 | (tables & 15));
    }
    check_input(known, "{}: the JPEG is damaged: a scan uses a missing table", file_.name());
  }
  bool lacks_huffman() const { return lacks_huffman_; }

 private:
  const ByteReader& file_;
  bool progressive_ = false, lacks_huffman_ = false;
  std::set<uint8_t> huffman_, quantisation_, needed_quantisation_;  // by slot; 0x10: AC
};

// Tables K.3 to K.6: class and slot, the numbers of codes of 1 to 16 bits, their symbols.
constexpr uint8_t luminance_dc[] = {0x00, 0, 1, 5, 1, 1, 1, 1, 1, 1, 0, 0, 0,  0, 0,
                                    0,    0, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11};
constexpr uint8_t luminance_ac[] = {
    0x10, 0,    2,    1,    3,    3,    2,    4,    3,    5,    5,    4,    4,    0,    0,    1,    0x7d,
    0x01, 0x02, 0x03, 0x00, 0x04, 0x11, 0x05, 0x12, 0x21, 0x31, 0x41, 0x06, 0x13, 0x51, 0x61, 0x07, 0x22,
    0x71, 0x14, 0x32, 0x81, 0x91, 0xa1, 0x08, 0x23, 0x42, 0xb1, 0xc1, 0x15, 0x52, 0xd1, 0xf0, 0x24, 0x33,
    0x62, 0x72, 0x82, 0x09, 0x0a, 0x16, 0x17, 0x18, 0x19, 0x1a, 0x25, 0x26, 0x27, 0x28, 0x29, 0x2a, 0x34,
    0x35, 0x36, 0x37, 0x38, 0x39, 0x3a, 0x43, 0x44, 0x45, 0x46, 0x47, 0x48, 0x49, 0x4a, 0x53, 0x54, 0x55,
    0x56, 0x57, 0x58, 0x59, 0x5a, 0x63, 0x64, 0x65, 0x66, 0x67, 0x68, 0x69, 0x6a, 0x73, 0x74, 0x75, 0x76,
    0x77, 0x78, 0x79, 0x7a, 0x83, 0x84, 0x85, 0x86, 0x87, 0x88, 0x89, 0x8a, 0x92, 0x93, 0x94, 0x95, 0x96,
    0x97, 0x98, 0x99, 0x9a, 0xa2, 0xa3, 0xa4, 0xa5, 0xa6, 0xa7, 0xa8, 0xa9, 0xaa, 0xb2, 0xb3, 0xb4, 0xb5,
    0xb6, 0xb7, 0xb8, 0xb9, 0xba, 0xc2, 0xc3, 0xc4, 0xc5, 0xc6, 0xc7, 0xc8, 0xc9, 0xca, 0xd2, 0xd3, 0xd4,
    0xd5, 0xd6, 0xd7, 0xd8, 0xd9, 0xda, 0xe1, 0xe2, 0xe3, 0xe4, 0xe5, 0xe6, 0xe7, 0xe8, 0xe9, 0xea, 0xf1,
    0xf2, 0xf3, 0xf4, 0xf5, 0xf6, 0xf7, 0xf8, 0xf9, 0xfa};
constexpr uint8_t chrominance_dc[] = {0x01, 0, 3, 1, 1, 1, 1, 1, 1, 1, 1, 1, 0,  0, 0,
                                      0,    0, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11};
constexpr uint8_t chrominance_ac[] = {
    0x11, 0,    2,    1,    2,    4,    4,    3,    4,    7,    5,    4,    4,    0,    1,    2,    0x77,
    0x00, 0x01, 0x02, 0x03, 0x11, 0x04, 0x05, 0x21, 0x31, 0x06, 0x12, 0x41, 0x51, 0x07, 0x61, 0x71, 0x13,
    0x22, 0x32, 0x81, 0x08, 0x14, 0x42, 0x91, 0xa1, 0xb1, 0xc1, 0x09, 0x23, 0x33, 0x52, 0xf0, 0x15, 0x62,
    0x72, 0xd1, 0x0a, 0x16, 0x24, 0x34, 0xe1, 0x25, 0xf1, 0x17, 0x18, 0x19, 0x1a, 0x26, 0x27, 0x28, 0x29,
    0x2a, 0x35, 0x36, 0x37, 0x38, 0x39, 0x3a, 0x43, 0x44, 0x45, 0x46, 0x47, 0x48, 0x49, 0x4a, 0x53, 0x54,
    0x55, 0x56, 0x57, 0x58, 0x59, 0x5a, 0x63, 0x64, 0x65, 0x66, 0x67, 0x68, 0x69, 0x6a, 0x73, 0x74, 0x75,
    0x76, 0x77, 0x78, 0x79, 0x7a, 0x82, 0x83, 0x84, 0x85, 0x86, 0x87, 0x88, 0x89, 0x8a, 0x92, 0x93, 0x94,
    0x95, 0x96, 0x97, 0x98, 0x99, 0x9a, 0xa2, 0xa3, 0xa4, 0xa5, 0xa6, 0xa7, 0xa8, 0xa9, 0xaa, 0xb2, 0xb3,
    0xb4, 0xb5, 0xb6, 0xb7, 0xb8, 0xb9, 0xba, 0xc2, 0xc3, 0xc4, 0xc5, 0xc6, 0xc7, 0xc8, 0xc9, 0xca, 0xd2,
    0xd3, 0xd4, 0xd5, 0xd6, 0xd7, 0xd8, 0xd9, 0xda, 0xe2, 0xe3, 0xe4, 0xe5, 0xe6, 0xe7, 0xe8, 0xe9, 0xea,
    0xf2, 0xf3, 0xf4, 0xf5, 0xf6, 0xf7, 0xf8, 0xf9, 0xfa};

template <size_t size>
void append_table(const uint8_t (&table)[size], std::string& to) {
  to.append(reinterpret_cast<const char*>(table), size);
}

}  // namespace

// Walks the segments. Inside entropy-coded data an FF is followed by 00 or a restart marker, so the
// search for the next marker also passes over it, and an embedded thumbnail's own end cannot be mistaken
// for the file's.
JpegLayout check_jpeg(const ByteReader& file) {
  constexpr uint8_t end_of_image = 0xD9, huffman = 0xC4, quantisation = 0xDB, scan = 0xDA;
  JpegTables tables(file);
  for (size_t at = 2;;) {
    while (file.u8(at) != 0xFF) ++at;
    while (file.u8(at) == 0xFF) ++at;
    const uint8_t marker = file.u8(at++);
    if (marker == end_of_image) return {tables.lacks_huffman()};
    if (marker == 0 || stands_alone(marker)) continue;
    const size_t length = file.big16(at);
    check_input(length >= 2, "{}: the JPEG is damaged: a segment of length {}", file.name(), length);
    file.need(at + length);
    if (starts_frame(marker)) tables.begin_frame(at, marker);
    if (marker == huffman) tables.define_huffman(at + 2, at + length);
    if (marker == quantisation) tables.define_quantisation(at + 2, at + length);
    if (marker == scan) tables.begin_scan(at);
    at += length;
  }
}

std::string with_standard_huffman_tables(std::string_view bytes) {
  std::string tables;
  append_table(luminance_dc, tables), append_table(luminance_ac, tables);
  append_table(chrominance_dc, tables), append_table(chrominance_ac, tables);
  const size_t length = tables.size() + 2;
  const std::string segment{'\xFF', '\xC4', static_cast<char>(length >> 8), static_cast<char>(length & 255)};
  return std::string(bytes.substr(0, 2)) + segment + tables + std::string(bytes.substr(2));
}

}  // namespace dinomaly
