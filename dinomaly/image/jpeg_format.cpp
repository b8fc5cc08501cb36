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

// That each scan uses tables that the file has, of as many codes as there may be: a decoder may take a missing one for the
// usual one.
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
    // Without any the usual ones are meant, as in the frames of a camera's video.
    if (huffman_.empty() && !progressive_) huffman_ = {0x00, 0x01, 0x10, 0x11};
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
  const ByteReader& file_;
  bool progressive_ = false;
  std::set<uint8_t> huffman_, quantisation_, needed_quantisation_;  // by slot; 0x10: AC
};

}  // namespace

// Walks the segments. Inside entropy-coded data an FF is followed by 00 or a restart marker, so the
// search for the next marker also passes over it, and an embedded thumbnail's own end cannot be mistaken
// for the file's.
void check_jpeg(const ByteReader& file) {
  constexpr uint8_t end_of_image = 0xD9, huffman = 0xC4, quantisation = 0xDB, scan = 0xDA;
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
    if (starts_frame(marker)) tables.begin_frame(at, marker);
    if (marker == huffman) tables.define_huffman(at + 2, at + length);
    if (marker == quantisation) tables.define_quantisation(at + 2, at + length);
    if (marker == scan) tables.begin_scan(at);
    at += length;
  }
}

}  // namespace dinomaly
