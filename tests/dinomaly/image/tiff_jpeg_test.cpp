// TIFFs whose strips or tiles are JPEG, as cameras and slide scanners write them, and TIFFs that are refused.
#include <doctest/doctest.h>

#include <algorithm>
#include <cstdlib>

#include "dinomaly/base/files.h"
#include "dinomaly/image/image.h"
#include "dinomaly/image/tile_reader.h"
#include "tests/dinomaly/image_writers.h"
#include "tests/support.h"

namespace dinomaly {

namespace {

struct JpegTiff {
  int subsampling = 1;  // of the colours, in both directions
  int tile = 0;         // 0: strips of 16 rows
  int photometric = PHOTOMETRIC_YCBCR;
};

// Given RGB, libtiff writes what `format` says.
void write_jpeg_tiff(const std::filesystem::path& path, const Image& image, const JpegTiff& format) {
  TIFF* file = TIFFOpen(path.c_str(), "w");
  REQUIRE(file != nullptr);
  const int width = static_cast<int>(image.width), height = static_cast<int>(image.height);
  TIFFSetField(file, TIFFTAG_IMAGEWIDTH, width);
  TIFFSetField(file, TIFFTAG_IMAGELENGTH, height);
  TIFFSetField(file, TIFFTAG_BITSPERSAMPLE, 8);
  TIFFSetField(file, TIFFTAG_SAMPLESPERPIXEL, 3);
  TIFFSetField(file, TIFFTAG_PLANARCONFIG, PLANARCONFIG_CONTIG);
  TIFFSetField(file, TIFFTAG_COMPRESSION, COMPRESSION_JPEG);
  TIFFSetField(file, TIFFTAG_PHOTOMETRIC, format.photometric);
  TIFFSetField(file, TIFFTAG_JPEGQUALITY, 97);
  if (format.photometric == PHOTOMETRIC_YCBCR) {
    TIFFSetField(file, TIFFTAG_YCBCRSUBSAMPLING, format.subsampling, format.subsampling);
    TIFFSetField(file, TIFFTAG_JPEGCOLORMODE, JPEGCOLORMODE_RGB);
  }
  std::string rgb = text_of(image.pixels);
  if (format.tile == 0) {
    TIFFSetField(file, TIFFTAG_ROWSPERSTRIP, 16);
    for (int y = 0; y < height; ++y)
      TIFFWriteScanline(file, rgb.data() + 3 * y * width, static_cast<uint32_t>(y), 0);
  } else {
    const TiffFormat whole{.width = width, .height = height, .samples = 3};
    TIFFSetField(file, TIFFTAG_TILEWIDTH, format.tile);
    TIFFSetField(file, TIFFTAG_TILELENGTH, format.tile);
    for (int y = 0; y < height; y += format.tile) {
      for (int x = 0; x < width; x += format.tile) {
        std::string part = part_of(rgb, whole, x, y, format.tile, format.tile, -1);
        TIFFWriteTile(file, part.data(), static_cast<uint32_t>(x), static_cast<uint32_t>(y), 0, 0);
      }
    }
  }
  TIFFClose(file);
}

// Red to the right, green downwards, little blue: whoever takes Y, Cb and Cr for them is far off.
Image colour_slope(int64_t width, int64_t height) {
  Image image(width, height, 3);
  for (int64_t y = 0; y < height; ++y) {
    for (int64_t x = 0; x < width; ++x) {
      uint8_t* pixel = image.at(x, y);
      pixel[0] = static_cast<uint8_t>(255 * x / width), pixel[1] = static_cast<uint8_t>(255 * y / height);
      pixel[2] = 20;
    }
  }
  return image;
}

int furthest_apart(const Image& a, const Image& b) {
  REQUIRE((a.width == b.width && a.height == b.height));
  int furthest = 0;
  for (size_t i = 0; i < a.pixels.size(); ++i)
    furthest = std::max(furthest, std::abs(a.pixels[i] - b.pixels[i]));
  return furthest;
}

const JpegTiff jpeg_tiffs[] = {{1, 0}, {2, 0}, {1, 32}, {2, 32}, {1, 0, PHOTOMETRIC_RGB}};

// Where the bytes of the strip lie.
std::pair<size_t, size_t> strip_of(const std::filesystem::path& path, uint32_t strip) {
  TIFF* file = TIFFOpen(path.c_str(), "r");
  REQUIRE(file != nullptr);
  const std::pair<size_t, size_t> place{TIFFGetStrileOffset(file, strip),
                                        TIFFGetStrileByteCount(file, strip)};
  TIFFClose(file);
  return place;
}

}  // namespace

TEST_CASE("tiff with JPEG: YCbCr, its colours as fine or half as fine, in strips and tiles, is RGB") {
  const TemporaryFolder folder;
  const std::filesystem::path path = folder / "a.tif";
  const Image image = colour_slope(96, 64);
  for (const JpegTiff& format : jpeg_tiffs) {
    CAPTURE(format.subsampling);
    CAPTURE(format.tile);
    CAPTURE(format.photometric);
    write_jpeg_tiff(path, image, format);
    const Image read = load_image_rgb(path);
    CHECK(furthest_apart(read, image) <= 8);
    TileReader reader(open_picture(path, strip_limits), {}, {32, 0});
    while (const auto tile = reader.next()) {
      for (int64_t y = 0; y < tile->box.height; ++y) {
        const uint8_t* expected = read.at(tile->box.x, tile->box.y + y);
        CHECK(std::equal(expected, expected + 3 * tile->box.width, tile->image.row(y)));
      }
    }
  }
}

TEST_CASE("tiff with JPEG: a mask in YCbCr, whose black is 0, 128, 128, means what it shows") {
  const TemporaryFolder folder;
  const std::filesystem::path path = folder / "mask.tif";
  Image drawn(64, 64, 3);
  for (int64_t y = 16; y < 32; ++y) std::fill_n(drawn.at(32, y), 3 * 16, uint8_t{255});
  for (const JpegTiff& format : jpeg_tiffs) {
    CAPTURE(format.subsampling);
    CAPTURE(format.tile);
    write_jpeg_tiff(path, drawn, format);
    const Image mask = load_mask(path, 64, 64);
    CHECK(*mask.at(40, 20) == 255);
    // With colours half as fine a border of a block may be tinged; far from it all is black.
    for (const auto& [x, y] : {std::pair{2, 2}, {60, 20}, {40, 50}, {10, 60}}) CHECK(*mask.at(x, y) == 0);
    const auto labelled = std::count(mask.pixels.begin(), mask.pixels.end(), 255);
    CHECK((labelled >= 16 * 16 && labelled <= 20 * 20));
  }
}

TEST_CASE("tiff with JPEG: a strip whose data is lost is damage, though libjpeg fills it up") {
  const TemporaryFolder folder;
  const std::filesystem::path path = folder / "a.tif";
  for (const char filler : {'\0', '\xFF'}) {
    write_jpeg_tiff(path, colour_slope(96, 64), {});
    const auto [begin, length] = strip_of(path, 1);
    std::string bytes = read_file(path, 1 << 20);
    std::fill_n(bytes.begin() + static_cast<std::ptrdiff_t>(begin + length / 2), length / 2 - 2, filler);
    write_file(path, bytes);
    const std::string message = input_error([&] { load_image_rgb(path); });
    CHECK(one_line_with(message, "a.tif: the TIFF is cut short or damaged in row "));
    CHECK(one_line_with(message, ": Corrupt JPEG data"));
  }
}

TEST_CASE("tiff: several layers and a palette of 16 bits are refused") {
  const TemporaryFolder folder;
  const std::filesystem::path path = folder / "a.tif";
  TIFF* file = TIFFOpen(path.c_str(), "w");
  REQUIRE(file != nullptr);
  set_tags(file, {.width = 2, .height = 1});
  TIFFSetField(file, TIFFTAG_IMAGEDEPTH, 3);
  std::string row(2, 'x');
  for (uint32_t y = 0; y < 3; ++y) TIFFWriteEncodedStrip(file, y, row.data(), 2);
  TIFFClose(file);
  CHECK(one_line_with(input_error([&] { load_image_rgb(path); }), "a.tif: a TIFF of 3 layers"));

  const std::vector<uint16_t> palette(3 << 16, 1000);
  write_tiff(path,
             {.width = 2, .height = 1, .bits = 16, .photometric = PHOTOMETRIC_PALETTE, .palette = palette},
             {bytes_of(std::vector<uint16_t>{1, 2})});
  CHECK(one_line_with(input_error([&] { load_image_rgb(path); }),
                      "a.tif: a TIFF with a palette of 16 bits is not read, only of 1 to 8 bits"));
}

}  // namespace dinomaly
