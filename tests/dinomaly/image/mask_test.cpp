// What label masks mean, in the encodings that labelling tools write.
#include <doctest/doctest.h>

#include <algorithm>

#include "dinomaly/base/files.h"
#include "dinomaly/base/framework.h"
#include "dinomaly/image/image.h"
#include "tests/dinomaly/image/npy_writer.h"
#include "tests/dinomaly/image_writers.h"
#include "tests/support.h"

namespace dinomaly {

namespace {

using Pixels = std::vector<uint8_t>;

// Masks of four pixels, of which the two in the middle are defective.
const Pixels middle{0, 255, 255, 0};

struct MaskFile {
  TemporaryFolder folder;
  Pixels operator()(const std::string& bytes, const std::string& name = "mask.png") const {
    write_file(folder / name, bytes);
    return load_mask(folder / name, 4, 1).pixels;
  }
  std::string error(const std::string& bytes) const {
    return input_error([&] { (*this)(bytes); });
  }
};

std::string bytes(std::initializer_list<int> values) {
  std::string text(1, '\0');  // the filter of a PNG's row
  for (const int value : values) text += static_cast<char>(value);
  return text;
}

// tRNS goes behind the palette.
std::string with_alphas(const std::string& png, const std::string& alphas) {
  const size_t data = png.find("IDAT") - 4;
  return png.substr(0, data) + chunk("tRNS", alphas) + png.substr(data);
}

std::string indexed_bmp(int bits, const std::string& palette, const std::string& row) {
  const uint32_t offset = 54 + static_cast<uint32_t>(palette.size());
  return "BM" + little32(0) + little32(0) + little32(offset) + little32(40) + little32(4) + little32(1) +
         std::string("\x01\0", 2) + static_cast<char>(bits) + std::string(17, '\0') +
         little32(static_cast<uint32_t>(palette.size() / 4)) + little32(0) + palette + row +
         std::string(4 - row.size(), '\0');
}

}  // namespace

TEST_CASE("mask: as many pixels as its image has, also more than 67 million") {
  const TemporaryFolder folder;
  const auto path = folder / "large.pbm";
  std::string bitmap = "P4 8200 8200\n" + std::string(1025 * 8200, '\xff');  // black
  bitmap.back() = '\xfe';
  write_file(path, bitmap);
  const Image mask = load_mask(path, 8200, 8200);
  CHECK((mask.width == 8200 && mask.height == 8200));
  CHECK(mask.pixels.back() == 255);
  CHECK(std::count(mask.pixels.begin(), mask.pixels.end(), uint8_t{0}) == 8200 * 8200 - 1);
  // No flag helps where the image is small.
  const std::string error = input_error([&] { load_mask(path, 64, 64); });
  CHECK_MESSAGE(one_line_with(error, "large.pbm: 8200 x 8200 pixels are more than the limit of 67108864"),
                error);
  CHECK_FALSE(contains(error, "--tile"));
}

TEST_CASE("mask: grey of every depth: not zero is defective") {
  const MaskFile mask;
  CHECK(mask(png(4, 1, 1, 0, bytes({0x60}))) == middle);
  CHECK(mask(png(4, 1, 2, 0, bytes({0x14}))) == middle);
  CHECK(mask(png(4, 1, 4, 0, bytes({0x01, 0x20}))) == middle);
  CHECK(mask(png(4, 1, 8, 0, bytes({0, 1, 255, 0}))) == middle);
  CHECK(mask(png(4, 1, 16, 0, bytes({0, 0, 0, 1, 255, 255, 0, 0}))) == middle);  // 1: the high byte is 0
  CHECK(mask("P2 4 1 9 0 1 9 0") == middle);
}

TEST_CASE("mask: colours: what is not black") {
  const MaskFile mask;
  // (0, 0, 1) and (1, 0, 0) are 0 as grey
  CHECK(mask(png(4, 1, 8, 2, bytes({0, 0, 0, 0, 0, 1, 1, 0, 0, 0, 0, 0}))) == middle);
  CHECK(mask(png(4, 1, 16, 2,
                 bytes({0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 9, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0}))) == middle);
  CHECK(mask(webp_of({0, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 0}, 4, 1)) == middle);
}

TEST_CASE("mask: palettes: the index counts, unless black is an entry other than the first") {
  const MaskFile mask;
  const std::string row = bytes({0, 1, 2, 0});
  CHECK(mask(png(4, 1, 8, 3, row, std::string("\0\0\0\x80\0\0\0\x80\0", 9))) == middle);  // as VOC's
  CHECK(mask(png(4, 1, 8, 3, row, std::string("\0\0\0\1\1\1\2\2\2", 9))) == middle);      // shades of grey
  CHECK(mask(png(4, 1, 8, 3, row, std::string("\0\0\0\0\0\0\0\0\1", 9))) == middle);      // all but black
  CHECK(mask(png(4, 1, 8, 3, row, std::string("\x44\x01\x54\x21\x90\x8C\xFD\xE7\x25", 9))) == middle);
  // Made from the colours of an image: white first, black second.
  CHECK(mask(png(4, 1, 1, 3, bytes({0x90}), std::string("\xFF\xFF\xFF\0\0\0", 6))) == middle);
  CHECK(mask(png(4, 1, 1, 3, bytes({0x60}), std::string("\0\0\0\xFF\xFF\xFF", 6))) == middle);
  const std::string red = std::string("\0\0\0\0\0\0\x80\0", 8);  // blue, green, red, 0
  CHECK(mask(indexed_bmp(8, red, std::string("\0\1\1\0", 4))) == middle);
  CHECK(mask(indexed_bmp(1, red, "\x60")) == middle);
  CHECK(mask(indexed_bmp(4, red, std::string("\x01\x10", 2))) == middle);
  CHECK(mask(indexed_bmp(1, std::string(8, '\0'), "\x60")) == middle);  // no colours at all
}

TEST_CASE("mask: alpha: transparent is good, opaque black too; alone it says what is defective") {
  const MaskFile mask;
  const auto rgba = [&](std::initializer_list<int> values) { return mask(png(4, 1, 8, 6, bytes(values))); };
  CHECK(rgba({0, 0, 0, 255, 9, 0, 0, 255, 255, 255, 255, 255, 0, 0, 0, 255}) == middle);
  CHECK(rgba({255, 255, 255, 0, 9, 0, 0, 255, 255, 255, 255, 9, 255, 255, 255, 0}) == middle);
  CHECK(rgba({0, 0, 0, 0, 9, 0, 0, 255, 9, 0, 0, 255, 0, 0, 0, 255}) == middle);
  CHECK(rgba({0, 0, 0, 0, 0, 0, 0, 255, 0, 0, 0, 1, 0, 0, 0, 0}) == middle);
  CHECK(mask(png(4, 1, 8, 4, bytes({0, 255, 1, 255, 255, 255, 0, 255}))) == middle);
  CHECK(mask(png(4, 1, 8, 4, bytes({0, 0, 0, 255, 0, 255, 0, 0}))) == middle);
  CHECK(mask(png(4, 1, 16, 4, bytes({0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 9, 0, 0, 0, 0}))) == middle);
  const std::string palette = png(4, 1, 8, 3, bytes({0, 1, 1, 0}), std::string("\xFF\xFF\xFF\0\0\0", 6));
  CHECK(mask(with_alphas(palette, std::string("\0\xFF", 2))) == middle);
  CHECK(mask(webp_of({0, 0, 0, 255, 1, 0, 0, 255, 0, 2, 0, 255, 0, 0, 0, 255}, 4, 1, true)) == middle);
}

TEST_CASE("mask: TIFF of every kind of number") {
  const MaskFile mask;
  const auto tiff = [&](int bits, int format, const std::string& data) {
    TiffFormat file{.width = 4, .bits = bits};
    file.format = format;
    write_tiff(mask.folder / "mask.tif", file, {data});
    return load_mask(mask.folder / "mask.tif", 4, 1).pixels;
  };
  CHECK(tiff(1, SAMPLEFORMAT_UINT, "\x60") == middle);
  CHECK(tiff(8, SAMPLEFORMAT_UINT, std::string("\0\1\2\0", 4)) == middle);
  CHECK(tiff(16, SAMPLEFORMAT_UINT, bytes_of(std::vector<uint16_t>{0, 1, 300, 0})) == middle);
  CHECK(tiff(16, SAMPLEFORMAT_INT, bytes_of(std::vector<int16_t>{0, 1, -32768, 0})) == middle);
  CHECK(tiff(32, SAMPLEFORMAT_INT, bytes_of(std::vector<int32_t>{0, 1, 1 << 20, 0})) == middle);
  CHECK(tiff(32, SAMPLEFORMAT_IEEEFP, bytes_of(std::vector<float>{0, 1e-9f, 1, -0.0f})) == middle);
  CHECK(tiff(64, SAMPLEFORMAT_IEEEFP, bytes_of(std::vector<double>{0, 1, 1, 0})) == middle);
  std::vector<uint16_t> palette(3 * 256, 0);
  palette[2] = 0x8000;
  TiffFormat indexed{.width = 4};
  indexed.photometric = PHOTOMETRIC_PALETTE, indexed.palette = palette;
  write_tiff(mask.folder / "mask.tif", indexed, {std::string("\0\1\2\0", 4)});
  CHECK(load_mask(mask.folder / "mask.tif", 4, 1).pixels == middle);
}

TEST_CASE("mask: one that is empty or of another size is named") {
  const MaskFile mask;
  CHECK(one_line_with(mask.error(png(4, 1, 8, 0, bytes({0, 0, 0, 0}))), "mask.png: the mask is empty"));
  CHECK(one_line_with(mask.error(png(4, 1, 8, 4, bytes({0, 255, 0, 255, 0, 255, 0, 255}))), "is empty"));
  CHECK(one_line_with(mask.error(png(3, 1, 8, 0, bytes({1, 0, 0}))), "the mask is 3 x 1, its image 4 x 1"));
}

TEST_CASE("masks: arrays of bool and of whole numbers; what is not zero is defective") {
  const MaskFile mask;
  const Pixels expected{0, 255, 0, 255};
  CHECK(mask(npy_of("'|b1'", "(1, 4)", std::string("\0\1\0\1", 4)), "m.npy") == expected);
  CHECK(mask(npy_of("'|u1'", "(1, 4, 1)", std::string("\0\x80\0\1", 4)), "m.npy") == expected);
  CHECK(mask(npy_of("'|u1'", "(1, 4)", std::string("\0\x80\0\1", 4)), "m.npy") == expected);
  CHECK(mask(npy_of("'|b1'", "(1, 1, 4)", std::string("\0\1\0\1", 4)), "m.npy") == expected);
  CHECK(mask(npy_of("'<u2'", "(1, 4)", std::string("\0\0\0\1\0\0\1\0", 8)), "m.npy") == expected);
  CHECK(mask(npy_of("'>i4'", "(1, 4)", std::string("\0\0\0\0\0\0\1\0\0\0\0\0\xff\xff\xff\xff", 16)),
             "m.npy") == expected);
  CHECK(one_line_with(mask.error(npy_of("'<f4'", "(1, 4)", std::string(16, '\1'))),
                      "bool or of whole numbers"));
  CHECK(one_line_with(mask.error(npy_of("'|b1'", "(1, 4)", std::string(3, '\1'))), "cut short"));
  CHECK(one_line_with(mask.error(npy_of("'|b1'", "(2, 2)", std::string(4, '\1'))), "the mask is 2 x 2"));
  CHECK(one_line_with(mask.error(npy_of("'|b1'", "(1, 4)", std::string(4, '\0'))), "the mask is empty"));
}

}  // namespace dinomaly
