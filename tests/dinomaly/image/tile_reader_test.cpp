// Images read tile by tile: the very pixels of reading them as a whole.
#include "dinomaly/image/tile_reader.h"

#include <doctest/doctest.h>

#include <algorithm>

#include "dinomaly/base/files.h"
#include "dinomaly/image/exif.h"
#include "dinomaly/image/read_ahead.h"
#include "tests/dinomaly/image_writers.h"
#include "tests/support.h"

namespace dinomaly {

namespace {

Image coloured(int64_t width, int64_t height) {
  Image image(width, height, 3);
  for (size_t i = 0; i < image.pixels.size(); ++i) image.pixels[i] = static_cast<uint8_t>(7 * i + i / 256);
  return image;
}

Image part_of(const Image& image, const Box& box) {
  Image part(box.width, box.height, 3);
  for (int64_t y = 0; y < box.height; ++y)
    std::copy_n(image.at(box.x, box.y + y), 3 * box.width, part.row(y));
  return part;
}

TileReader reader_of(const std::filesystem::path& path, const Tiling& tiling, const PixelRules& rules = {}) {
  return {open_picture(path, strip_limits), rules, tiling};
}

// Every tile is there once, with the pixels of the image read as a whole.
void check_tiles(const std::filesystem::path& path, const Tiling& tiling, const PixelRules& rules = {}) {
  const Image whole = load_image_rgb(path, rules);
  TileReader reader = reader_of(path, tiling, rules);
  CHECK((reader.size().width == whole.width && reader.size().height == whole.height));
  std::vector<Box> expected = tile_boxes(whole.width, whole.height, tiling);
  while (const auto tile = reader.next()) {
    CHECK(tile->image == part_of(whole, tile->box));
    CHECK(std::erase(expected, tile->box) == 1);
  }
  CHECK(expected.empty());
  CHECK(reader.grey() == is_grey(whole.pixels));
  CHECK(reader.smaller() == whole);  // it is small enough
}

}  // namespace

TEST_CASE("tile reader: PNG, PNM, TIFF, BMP, WebP and JPEG, tiles with and without overlap") {
  const TemporaryFolder folder;
  const Image image = coloured(150, 70);
  write_file(folder / "a.png", encode_png(image));
  write_file(folder / "b.ppm", "P6 150 70 255\n" + text_of(image.pixels));
  write_tiff(folder / "c.tif",
             {.width = 150, .height = 70, .samples = 3, .photometric = PHOTOMETRIC_RGB, .tile = 16},
             {text_of(image.pixels)});
  write_file(folder / "d.webp", webp_of(image.pixels, 150, 70));
  write_file(folder / "e.jpg", encode_jpeg(image, 95));
  write_file(folder / "f.pgm", "P5 150 70 255\n" + std::string(150 * 70, 'x'));
  for (const char* name : {"a.png", "b.ppm", "c.tif", "d.webp", "e.jpg", "f.pgm"}) {
    CAPTURE(name);
    for (const Tiling& tiling : {Tiling{32, 0}, {32, 16}, {64, 5}, {100, 50}, {256, 0}})
      check_tiles(folder / name, tiling);
  }
}

TEST_CASE("tile reader: an image stored on its side or upside down is cut as people see it") {
  const TemporaryFolder folder;
  const std::filesystem::path path = folder / "turned.png";
  for (int orientation = 1; orientation <= 8; ++orientation) {
    CAPTURE(orientation);
    write_file(path, png_with_exif(encode_png(coloured(90, 50)), orientation));
    check_tiles(path, {32, 8});
    check_tiles(path, {20, 0}, {.exif_orientation = false});
  }
}

TEST_CASE("tile reader: a file cut short is named once its tiles are reached") {
  const TemporaryFolder folder;
  const std::string pixels = text_of(coloured(60, 60).pixels);
  TiffFormat damaged{.width = 60, .height = 60, .samples = 3, .photometric = PHOTOMETRIC_RGB};
  damaged.compression = COMPRESSION_LZW;
  write_tiff(folder / "cut.tif", damaged, {pixels});
  std::string torn = read_file(folder / "cut.tif", 1 << 20);
  std::fill(torn.begin() + static_cast<std::ptrdiff_t>(torn.size() / 2),
            torn.begin() + static_cast<std::ptrdiff_t>(torn.size() * 3 / 4), '\xff');
  write_file(folder / "cut.tif", torn);
  const std::string message = input_error([&] {
    TileReader reader = reader_of(folder / "cut.tif", {16, 0});
    while (reader.next()) {
    }
  });
  CHECK_MESSAGE(one_line_with(message, "cut.tif: "), message);
}

TEST_CASE("tile reader: the smaller image is the mean of the pixels that fall on each of its own") {
  const int64_t width = 3 * 4096 + 2, height = 4097;  // 50 million pixels: a part of 2 x 2 each
  SmallerImage smaller(width, height);
  std::vector<uint8_t> row(static_cast<size_t>(3 * width));
  for (int64_t y = 0; y < height; ++y) {
    for (int64_t x = 0; x < width; ++x)
      row[static_cast<size_t>(3 * x)] = static_cast<uint8_t>((x % 2) * 100 + (y % 2) * 50);
    smaller.add(row.data());
  }
  const Image& image = smaller.image();
  CHECK((image.width == width / 2 && image.height == height / 2));
  CHECK(image.width * image.height <= int64_t{1} << 24);
  CHECK(*image.at(100, 100) == 75);
  CHECK(image.at(100, 100)[1] == 0);
  CHECK(std::abs(*image.at(image.width - 1, image.height - 1) - 75) <= 25);
}

TEST_CASE(
    "read ahead: what is beyond the limits comes as tiles where there is a tiling, and else is refused") {
  const TemporaryFolder folder;
  save_png(folder / "large.png", coloured(60, 40));
  save_png(folder / "small.png", coloured(30, 40));
  const std::vector<Picture> paths{folder / "large.png", folder / "small.png"};
  const auto prepare = [](const Image& image) { return Tensor::full({1}, image.width); };
  ReadAheadOptions options{.whole = {.pixels = 2000}, .tiling = {32, 8}};
  std::vector<InputImage> images = ReadAhead(in_order(paths), prepare, options).next_batch(2);
  REQUIRE(images.size() == 2);
  CHECK(images[0].error.empty());
  CHECK((images[0].tiles && images[0].width == 60 && images[0].height == 40));
  CHECK_FALSE(images[0].inputs.defined());
  CHECK((images[1].inputs.defined() && !images[1].tiles));
  options.whole = {.side = 59};
  CHECK(ReadAhead(in_order(paths), prepare, options).next_batch(1)[0].tiles);
  options.tiling = {};
  images = ReadAhead(in_order(paths), prepare, options).next_batch(2);
  CHECK(one_line_with(
      images[0].error,
      "large.png: 60 x 40 pixels; a side must be within 1..59 (predict, eval and calibrate read"));
  CHECK(images[1].error.empty());
}

}  // namespace dinomaly
