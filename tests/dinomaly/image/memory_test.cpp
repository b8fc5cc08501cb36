// Images and maps in memory are those of files.
#include <doctest/doctest.h>

#include <fstream>

#include "dinomaly/base/files.h"
#include "dinomaly/base/framework.h"
#include "dinomaly/image/image.h"
#include "dinomaly/image/npy_map.h"
#include "dinomaly/image/pixel_rows.h"
#include "dinomaly/image/tiff_map.h"
#include "tests/dinomaly/image_writers.h"
#include "tests/support.h"

namespace dinomaly {

namespace {

Image decoded(const std::string& bytes, const ReadLimits& limits = {}, int64_t channels = 3) {
  PixelRules rules;
  rules.channels = channels;
  return whole_image(*open_picture("no such file", bytes, limits, channels), rules);
}

}  // namespace

TEST_CASE("memory: bytes of every format give the image of the file, and open none") {
  const TemporaryFolder folder;
  Image image(37, 21, 3);
  for (size_t i = 0; i < image.pixels.size(); ++i) image.pixels[i] = static_cast<uint8_t>(7 * i + i / 256);
  const std::string rows(image.pixels.begin(), image.pixels.end());
  write_tiff(folder / "tiff", {.width = 37, .height = 21, .samples = 3, .photometric = PHOTOMETRIC_RGB},
             {rows});
  const std::string tiff = read_file(folder / "tiff", 1 << 20);
  for (const std::string& bytes : {encode_png(image), encode_jpeg(image, 90), tiff, "P6 37 21 255\n" + rows,
                                   webp_of(image.pixels, 37, 21)}) {
    std::ofstream(folder / "file", std::ios::binary) << bytes;
    CHECK(decoded(bytes) == load_image_rgb(folder / "file"));
    const std::string cut = bytes.substr(0, bytes.size() * 2 / 3);
    CHECK(contains(input_error([&] { decoded(cut); }), "no such file: "));
    CHECK(!input_error([&] { decoded(bytes, {.pixels = 37 * 21 - 1, .advice = ""}); }).empty());
  }
  write_tiff(folder / "pages", {.width = 37, .height = 7}, {rows.substr(0, 259), rows.substr(259, 259)});
  const std::string pages = read_file(folder / "pages", 1 << 20);
  PixelRules two;
  two.channels = 2;
  CHECK(decoded(pages, {}, 2) == load_image(folder / "pages", two));
}

TEST_CASE("memory: a TIFF's tile may not be far beyond the pixels that an image may have") {
  const TemporaryFolder folder;
  write_tiff(folder / "tiff", {.width = 16, .height = 16, .tile = 4096}, {std::string(256, 'x')});
  const std::string bytes = read_file(folder / "tiff", 1 << 26);
  CHECK(decoded(bytes).width == 16);
  CHECK(contains(input_error([&] { decoded(bytes, {.pixels = 1 << 16, .advice = ""}); }), "too large"));
}

TEST_CASE("memory: maps are the files' bytes") {
  const TemporaryFolder folder;
  const Tensor map = Tensor::from(std::vector<float>{0.5f, 1.f, -2.f, 3.f, 4.f, 5.f}, {2, 3});
  save_tiff_map(folder / "map.tiff", map);
  CHECK(encode_tiff_map(map) == read_file(folder / "map.tiff", 1 << 20));
  save_npy_map(folder / "map.npy", map);
  CHECK(encode_npy_map(map) == read_file(folder / "map.npy", 1 << 20));
}

}  // namespace dinomaly
