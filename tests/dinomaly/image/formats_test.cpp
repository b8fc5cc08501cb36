// Files of every format that is read, and the names of those that are not.
#include <doctest/doctest.h>

#include <cmath>
#include <fstream>

#include "dinomaly/base/files.h"
#include "dinomaly/base/framework.h"
#include "dinomaly/image/image.h"
#include "dinomaly/image/image_format.h"
#include "dinomaly/image/pixel_rows.h"
#include "dinomaly/image/tiff_map.h"
#include "tests/dinomaly/image_writers.h"
#include "tests/support.h"

namespace dinomaly {

namespace {

// Each pixel and channel has a value of its own.
Image varied(int64_t width, int64_t height, int64_t channels) {
  Image image(width, height, channels);
  for (size_t i = 0; i < image.pixels.size(); ++i) image.pixels[i] = static_cast<uint8_t>(7 * i + i / 256);
  return image;
}

// As 16 bits: the byte and a low byte that tells the two apart.
std::string deep(const Image& image) {
  std::vector<uint16_t> values;
  for (const uint8_t pixel : image.pixels) values.push_back(static_cast<uint16_t>(pixel << 8 | 0x11));
  return bytes_of(values);
}

std::string error_of(const std::filesystem::path& path, const std::string& bytes) {
  std::ofstream(path, std::ios::binary) << bytes;
  return input_error([&] { load_image_rgb(path); });
}

Image rgb_of(const Image& grey) {
  Image rgb(grey.width, grey.height, 3);
  for (size_t i = 0; i < rgb.pixels.size(); ++i) rgb.pixels[i] = grey.pixels[i / 3];
  return rgb;
}

}  // namespace

TEST_CASE("formats: TIFF of 8 and 16 bits, grey and RGB, in strips and tiles, channels together and apart") {
  const TemporaryFolder folder;
  const std::filesystem::path path = folder / "image.tif";
  for (const int samples : {1, 3}) {
    const Image image = varied(37, 21, samples);
    const Image expected = samples == 3 ? image : rgb_of(image);
    for (const int bits : {8, 16}) {
      for (const int tile : {0, 16}) {
        for (const bool apart : {false, true}) {
          for (const int compression : {COMPRESSION_NONE, COMPRESSION_LZW, COMPRESSION_ADOBE_DEFLATE}) {
            CAPTURE(samples);
            CAPTURE(bits);
            CAPTURE(tile);
            CAPTURE(apart);
            TiffFormat format{.width = 37, .height = 21, .bits = bits, .samples = samples};
            format.photometric = samples == 3 ? PHOTOMETRIC_RGB : PHOTOMETRIC_MINISBLACK;
            format.tile = tile, format.apart = apart, format.compression = compression;
            write_tiff(path, format, {bits == 8 ? text_of(image.pixels) : deep(image)});
            CHECK(load_image_rgb(path) == expected);
          }
        }
      }
    }
  }
}

TEST_CASE("formats: TIFF of few bits, of 12, with white as zero, a palette or an alpha") {
  const TemporaryFolder folder;
  const std::filesystem::path path = folder / "image.tif";
  using Pixels = std::vector<uint8_t>;
  const auto grey = [&](TiffFormat format, const std::string& data) {
    format.height = 1;
    write_tiff(path, format, {data});
    const Image image = load_image_rgb(path);
    Pixels first;
    for (size_t i = 0; i < image.pixels.size(); i += 3) first.push_back(image.pixels[i]);
    return first;
  };
  CHECK(grey({.width = 3, .bits = 1}, "\xA0") == Pixels{255, 0, 255});
  CHECK(grey({.width = 3, .bits = 1, .photometric = PHOTOMETRIC_MINISWHITE}, "\xA0") == Pixels{0, 255, 0});
  CHECK(grey({.width = 2, .photometric = PHOTOMETRIC_MINISWHITE}, "\x10\xFF") == Pixels{239, 0});
  CHECK(grey({.width = 2, .bits = 4}, "\x1F") == Pixels{17, 255});
  // 4095 of 12 bits is white, 2048 the middle: their range is known.
  CHECK(grey({.width = 2, .bits = 12}, "\xFF\xF8\x00") == Pixels{255, 128});
  CHECK(grey({.width = 2, .samples = 2, .alpha = EXTRASAMPLE_UNASSALPHA},
             std::string("\x07\x00\x09\xFF", 4)) == Pixels{7, 9});
  std::vector<uint16_t> palette(12, 0);
  palette[1] = 0x2000, palette[5] = 0x3000, palette[9] = 0x4000;  // entry 1 of 4
  write_tiff(path, {.width = 2, .bits = 2, .photometric = PHOTOMETRIC_PALETTE, .palette = palette}, {"\x40"});
  CHECK(load_image_rgb(path).pixels == Pixels{0x20, 0x30, 0x40, 0, 0, 0});
}

TEST_CASE("formats: TIFFs that are no single image are named as what they are") {
  const TemporaryFolder folder;
  const std::filesystem::path path = folder / "image.tif";
  const auto error = [&](const TiffFormat& format, const std::vector<std::string>& pages) {
    write_tiff(path, format, pages);
    return input_error([&] { load_image_rgb(path); });
  };
  CHECK(one_line_with(error({}, {"a", "b"}), "image.tif: a TIFF of 2 pages"));
  CHECK(one_line_with(error({.samples = 4, .photometric = PHOTOMETRIC_SEPARATED}, {"abcd"}), "CMYK"));
  CHECK(one_line_with(error({.samples = 5}, {"abcde"}), "5 samples per pixel"));
  const auto refused = [&](int bits, int kind, const std::string& what) {
    const std::string message =
        error({.bits = bits, .format = kind}, {std::string(static_cast<size_t>(bits) / 8, 'x')});
    CHECK_MESSAGE(
        one_line_with(message, "image.tif: " + what + "; images have unsigned integers of 1 to 16 bits"),
        message);
  };
  refused(32, SAMPLEFORMAT_IEEEFP, "floating-point numbers of 32 bits");
  refused(64, SAMPLEFORMAT_IEEEFP, "floating-point numbers of 64 bits");
  refused(16, SAMPLEFORMAT_INT, "signed integers of 16 bits");
  refused(8, SAMPLEFORMAT_INT, "signed integers of 8 bits");
  refused(32, SAMPLEFORMAT_UINT, "unsigned integers of 32 bits");
  refused(64, SAMPLEFORMAT_COMPLEXIEEEFP, "complex numbers of 64 bits");
  CHECK(one_line_with(error({.bits = 24}, {"abc"}), "a TIFF of 1 sample of 24 bits per pixel is not read"));
  CHECK(one_line_with(error({.width = 40000}, {std::string(40000, 'x')}), "more than the limit"));
  write_tiff(path, {.width = 64, .height = 64}, {std::string(4096, 'x')});
  const std::string whole = read_file(path, 1 << 20);
  for (const size_t size : {whole.size() - 10, size_t{2000}, size_t{9}}) {
    const std::string message = error_of(folder / "cut.tif", whole.substr(0, size));
    CHECK(one_line_with(message, "cut.tif: "));
    CHECK(contains(message, "cut short"));
  }
}

TEST_CASE("formats: maps in TIFF of 16, 32 and 64 bits, in strips and tiles") {
  const TemporaryFolder folder;
  const std::filesystem::path path = folder / "map.tif";
  // 1.5, -2, 0, the smallest half (2^-24), the largest (65504)
  const std::vector<uint16_t> halves{0x3E00, 0xC000, 0x0000, 0x0001, 0x7BFF};
  for (const int tile : {0, 16}) {
    TiffFormat format{.width = 5, .bits = 16, .format = SAMPLEFORMAT_IEEEFP};
    format.tile = tile;
    write_tiff(path, format, {bytes_of(halves)});
    const Tensor map = load_tiff_map(path);
    CHECK(map.shape() == Shape({1, 5}));
    CHECK(map.to_vector<float>() == std::vector<float>{1.5f, -2.0f, 0.0f, std::ldexp(1.0f, -24), 65504.0f});
    format.bits = 64;
    write_tiff(path, format, {bytes_of(std::vector<double>{0.25, 1, 2, 3, -4})});
    CHECK(load_tiff_map(path).to_vector<float>() == std::vector<float>{0.25f, 1, 2, 3, -4});
  }
  TiffFormat format{.width = 5, .bits = 16, .format = SAMPLEFORMAT_IEEEFP};
  write_tiff(path, format, {bytes_of(std::vector<uint16_t>{0, 0, 0x7C00, 0, 0})});
  CHECK(one_line_with(input_error([&] { load_tiff_map(path); }), "(2, 0) is not finite"));
}

TEST_CASE("formats: WebP with and without alpha, PGM, PPM and PBM, and JPEG under any name") {
  const TemporaryFolder folder;
  const auto load = [&](const std::string& name, const std::string& bytes) {
    write_file(folder / name, bytes);
    return load_image_rgb(folder / name);
  };
  const Image image = varied(19, 11, 3);
  CHECK(load("a.webp", webp_of(image.pixels, 19, 11)) == image);
  CHECK(load("a.webp", webp_of({9, 8, 7, 0, 6, 5, 4, 255}, 2, 1, true)).pixels.size() == 6);
  CHECK(load("a.jfif", encode_jpeg(image, 90)) == load("a.jpg", encode_jpeg(image, 90)));
  using Pixels = std::vector<uint8_t>;
  CHECK(load("a.ppm", "P6\n# by hand\n19 11\n255\n" + text_of(image.pixels)) == image);
  CHECK(load("a.pgm", "P5 2 1 255 \x07\xF0").pixels == Pixels{7, 7, 7, 240, 240, 240});
  CHECK(load("a.pgm", "P5 2 1 100 \x32\x64").pixels == Pixels{128, 128, 128, 255, 255, 255});
  CHECK(load("a.pgm", std::string("P5 2 1 4095 \x0F\xFF\x08\x00", 16)).pixels ==
        Pixels{255, 255, 255, 128, 128, 128});
  CHECK(load("a.pgm", "P2\n2 1\n10\n5 10\n").pixels == Pixels{128, 128, 128, 255, 255, 255});
  CHECK(load("a.ppm", "P3 1 1 255 1 2 3").pixels == Pixels{1, 2, 3});
  CHECK(load("a.pbm", "P4 3 1 \xA0").pixels == Pixels{0, 0, 0, 255, 255, 255, 0, 0, 0});  // 1 is black
  CHECK(load("a.pbm", "P1 3 1 101").pixels == Pixels{0, 0, 0, 255, 255, 255, 0, 0, 0});
  CHECK(one_line_with(error_of(folder / "a.pgm", "P5 2 2 255 abc"), "a.pgm: the image is cut short"));
  CHECK(one_line_with(error_of(folder / "a.pgm", "P2 2 1 255 7"), "a.pgm: the image is cut short"));
  const std::string webp = webp_of(image.pixels, 19, 11);
  CHECK(one_line_with(error_of(folder / "a.webp", webp.substr(0, webp.size() - 5)), "cut short"));
}

TEST_CASE("formats: a JPEG without Huffman tables has the standard ones") {
  const TemporaryFolder folder;
  const std::string whole = encode_jpeg(varied(40, 30, 3), 90);  // its tables are the standard ones
  std::string bare = whole;
  for (size_t at; (at = bare.find("\xFF\xC4")) != std::string::npos;) {
    const size_t length =
        static_cast<size_t>(static_cast<uint8_t>(bare[at + 2]) << 8) + static_cast<uint8_t>(bare[at + 3]);
    bare.erase(at, 2 + length);
  }
  REQUIRE(bare.size() + 400 < whole.size());
  write_file(folder / "whole.jpg", whole);
  write_file(folder / "bare.jpg", bare);
  CHECK(load_image_rgb(folder / "bare.jpg") == load_image_rgb(folder / "whole.jpg"));
}

TEST_CASE("formats: what is not read is called by its name") {
  const TemporaryFolder folder;
  const auto named = [&](const std::string& name, const std::string& bytes, const std::string& format) {
    return one_line_with(error_of(folder / name, bytes),
                         name + ": " + format + " is a format that is not read");
  };
  CHECK(named("a.gif", "GIF89a and so on", "GIF"));
  CHECK(named("b.png", "GIF89a and so on", "GIF"));
  CHECK(named("c.heic",
              std::string("\0\0\0\x18"
                          "ftypheic",
                          12),
              "HEIF"));
  CHECK(named("d",
              std::string("\0\0\0\x18"
                          "ftypavif",
                          12),
              "AVIF"));
  CHECK(named("e.svg", "<?xml version='1.0'?><svg/>", "SVG"));
  CHECK(named("f.dng", std::string("II*\0\x08\0\0\0", 8), "camera raw"));
  CHECK(named("g.jp2", std::string("\0\0\0\x0cjP  ", 8), "JPEG 2000"));
  CHECK(one_line_with(error_of(folder / "h.png", "hello"), "h.png: not a PNG, JPEG, TIFF"));

  std::string rle = "BM" + std::string(12, '\0') + little32(40) + little32(4) + little32(4) +
                    std::string("\x01\0\x08\0\x01\0\0\0", 8) + std::string(20, '\0') + "\x04\x07";
  CHECK(one_line_with(error_of(folder / "i.bmp", rle), "i.bmp: a BMP compressed by RLE8"));
  rle[28] = 4, rle[30] = 2;
  CHECK(one_line_with(error_of(folder / "i.bmp", rle), "i.bmp: a BMP compressed by RLE4"));

  const std::string still = encode_png(varied(3, 3, 3));
  const auto animated = [&](uint32_t frames) {
    return still.substr(0, 33) + chunk("acTL", big32(frames) + big32(0)) + still.substr(33);
  };
  CHECK(one_line_with(error_of(folder / "j.png", animated(2)), "animation"));
  CHECK(error_of(folder / "j.png", animated(1)).empty());
  std::string moving = webp_with_exif(webp_of(varied(3, 3, 3).pixels, 3, 3), 3, 3, 1);
  moving[20] |= 2;
  CHECK(one_line_with(error_of(folder / "k.webp", moving), "animation"));
}

TEST_CASE("formats: 16 bits are scaled by the bit depth, and what states its range is not") {
  const TemporaryFolder folder;
  const std::string values("\0\x0F\xFF\x08\x00\xFF\xFF", 7);  // 4095, 2048, 65535 in one row
  write_file(folder / "a.png", png(3, 1, 16, 0, values));
  const auto grey = [&](const std::string& name, int64_t depth) {
    const Image image = load_image_rgb(folder / name, {.exif_orientation = true, .bit_depth = depth});
    return std::vector<uint8_t>{image.pixels[0], image.pixels[3], image.pixels[6]};
  };
  using Pixels = std::vector<uint8_t>;
  CHECK(grey("a.png", 16) == Pixels{15, 8, 255});
  CHECK(grey("a.png", 0) == Pixels{15, 8, 255});
  CHECK(grey("a.png", 12) == Pixels{255, 128, 255});
  CHECK(grey("a.png", 14) == Pixels{63, 32, 255});
  write_tiff(folder / "a.tif", {.width = 3, .bits = 16},
             {bytes_of(std::vector<uint16_t>{4095, 2048, 65535})});
  CHECK(grey("a.tif", 12) == Pixels{255, 128, 255});
  write_tiff(folder / "b.tif", {.width = 3, .bits = 12}, {std::string("\x0F\xF0\x80\xFF\xF0", 5)});
  CHECK(grey("b.tif", 12) == Pixels{15, 8, 255});
  CHECK(grey("b.tif", 16) == Pixels{15, 8, 255});
}

TEST_CASE("formats: a BMP whose first row is the top one is the same image, in tiles, too") {
  const TemporaryFolder folder;
  const auto bmp = [](int32_t height, const std::string& rows) {
    return "BM" + little32(54 + 16) + little32(0) + little32(54) + little32(40) + little32(2) +
           little32(static_cast<uint32_t>(height)) + std::string("\x01\0\x18\0", 4) + std::string(24, '\0') +
           rows;
  };
  const std::string first("\x01\x02\x03\x04\x05\x06\0\0", 8), second("\x07\x08\x09\x0a\x0b\x0c\0\0", 8);
  write_file(folder / "up.bmp", bmp(2, second + first));
  write_file(folder / "down.bmp", bmp(-2, first + second));
  const std::vector<uint8_t> expected{3, 2, 1, 6, 5, 4, 9, 8, 7, 12, 11, 10};
  for (const char* name : {"up.bmp", "down.bmp"}) {
    CAPTURE(name);
    CHECK(load_image_rgb(folder / name).pixels == expected);
    const auto rows = open_pixels(folder / name);
    CHECK(rows->layout().height == 2);
    CHECK(rows->next()[0] == 3);
    CHECK(rows->next()[0] == 9);
  }
}

TEST_CASE("formats: a PNM's value above the largest of its header is refused") {
  const TemporaryFolder folder;
  CHECK(one_line_with(error_of(folder / "a.pgm", "P5 2 1 100 \x32\x65"), "a.pgm: a value is 101"));
  CHECK(one_line_with(error_of(folder / "a.pgm", "P2 2 1 10 5 11"), "a.pgm: a value is 11"));
}

}  // namespace dinomaly
