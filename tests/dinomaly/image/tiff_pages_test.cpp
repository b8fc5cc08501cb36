// TIFFs of several pages: one channel each of one image, or refused.
#include <doctest/doctest.h>

#include "dinomaly/base/files.h"
#include "dinomaly/base/framework.h"
#include "dinomaly/image/exif.h"
#include "dinomaly/image/image.h"
#include "dinomaly/image/pixel_rows.h"
#include "tests/dinomaly/image_writers.h"
#include "tests/support.h"

namespace dinomaly {

namespace fs = std::filesystem;

namespace {

PixelRules of_pages(int64_t count, int64_t bit_depth = 0) {
  return {.exif_orientation = true, .bit_depth = bit_depth, .channels = count};
}

Image patterned(int64_t count) {
  Image image(37, 22, count);
  for (size_t i = 0; i < image.pixels.size(); ++i) image.pixels[i] = static_cast<uint8_t>(7 * i + i / 256);
  return image;
}

std::string page_of(const Image& image, int64_t channel) {
  std::string page;
  for (auto i = static_cast<size_t>(channel); i < image.pixels.size();
       i += static_cast<size_t>(image.channels))
    page += static_cast<char>(image.pixels[i]);
  return page;
}

std::string pages_refusal(const fs::path& path, int64_t count) {
  return input_error([&] { load_image(path, of_pages(count)); });
}

}  // namespace

TEST_CASE("tiff pages: the pages of a TIFF, of one brightness each and alike, where so many are asked for") {
  const TemporaryFolder folder;
  const fs::path path = folder / "pages.tif";
  for (const int64_t count : {2, 5, 16}) {
    const Image image = patterned(count);
    std::vector<std::string> pages;
    for (int64_t c = 0; c < count; ++c) pages.push_back(page_of(image, c));
    for (const int tile : {0, 16}) {
      CAPTURE(count);
      TiffFormat format{.width = 37, .height = 22, .tile = tile, .orientation = 6};
      write_tiff(path, format, pages);
      CHECK(load_image(path, of_pages(count)) == turned(image, 6));
    }
    const std::string whole = read_file(path, 1 << 20);
    write_file(folder / "cut.tif", whole.substr(0, whole.size() / 2));
    CHECK(one_line_with(pages_refusal(folder / "cut.tif", count), "cut.tif: "));
    CHECK(one_line_with(pages_refusal(path, count == 5 ? 4 : 5),
                        fmt::format("pages.tif: {} pages of one channel, but", count)));
  }
  // Where grey or RGB is asked for, which page is meant is not known.
  write_tiff(path, {}, {"a", "b", "c"});
  for (const int64_t count : {1, 3})
    CHECK(one_line_with(pages_refusal(path, count),
                        "pages.tif: a TIFF of 3 pages; only a single image is read"));
  // 16 bits, of which the brightest of all pages says how many are used.
  write_tiff(path, {.width = 2, .bits = 16},
             {bytes_of(std::vector<uint16_t>{256, 512}), bytes_of(std::vector<uint16_t>{4095, 255})});
  CHECK(load_image(path, of_pages(2, 12)).pixels == std::vector<uint8_t>{16, 255, 32, 15});
  CHECK(largest_deep_sample(path, 65536, 2) == 4095);
  write_tiff(path, {.photometric = PHOTOMETRIC_MINISWHITE}, {"\x01", "\x02"});
  CHECK(load_image(path, of_pages(2)).pixels == std::vector<uint8_t>{254, 253});
}

TEST_CASE("tiff pages: pages that are no channels of one image are refused by what they are") {
  const TemporaryFolder folder;
  const fs::path path = folder / "pages.tif";
  const auto refused = [&](const std::string& expected) {
    const std::string message = pages_refusal(path, 2);
    CHECK_MESSAGE(one_line_with(message, "pages.tif: " + expected), message);
  };
  write_tiff(path, {.samples = 3, .photometric = PHOTOMETRIC_RGB}, {"abc", "def"});
  refused("page 1 has 3 channels; pages are read as channels where each has one brightness");
  std::vector<uint16_t> palette(3 * 256, 0);
  write_tiff(path, {.photometric = PHOTOMETRIC_PALETTE, .palette = palette}, {"a", "b"});
  refused("page 1 has colours of a palette");
  write_tiff(path, {.bits = 32, .format = SAMPLEFORMAT_IEEEFP}, {"abcd", "efgh"});
  refused("floating-point numbers of 32 bits");
  write_tiff(path, {}, std::vector<std::string>(17, "a"));
  refused("a TIFF of 17 pages; as channels at most 16 are read");
  const auto differs = [&](const TiffFormat& second, const std::string& data) {
    write_tiff(path, {.width = 2}, {"ab"});
    write_tiff(path, second, {data}, "a");
    refused("page 2 differs from the first in size or type");
  };
  differs({.width = 1, .height = 2}, "ab");
  differs({.width = 2, .bits = 16}, "abcd");
  differs({.width = 2, .orientation = 3}, "ab");
}

}  // namespace dinomaly
