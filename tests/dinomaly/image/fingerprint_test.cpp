// Images are told by their pixels, not by their files.
#include "dinomaly/image/fingerprint.h"

#include <doctest/doctest.h>

#include <set>

#include "dinomaly/base/files.h"
#include "dinomaly/base/framework.h"
#include "tests/dinomaly/image_writers.h"
#include "tests/support.h"

namespace dinomaly {

namespace {

Image patterned(int64_t width, int64_t height) {
  Image image(width, height, 3);
  for (size_t i = 0; i < image.pixels.size(); ++i) image.pixels[i] = static_cast<uint8_t>(i * i * 7 + i);
  return image;
}

std::string as_ppm(const Image& image) {
  return fmt::format("P6 {} {} 255\n", image.width, image.height) +
         std::string(image.pixels.begin(), image.pixels.end());
}

}  // namespace

TEST_CASE("fingerprint: the same for the same pixels, whatever the file; the documented hash") {
  const TemporaryFolder folder;
  const Image image = patterned(5, 3);
  const std::string pixels(image.pixels.begin(), image.pixels.end());
  save_png(folder / "a.png", image);
  write_file(folder / "b.ppm", as_ppm(image));
  TiffFormat tiff{.width = 5, .height = 3, .samples = 3, .photometric = PHOTOMETRIC_RGB};
  for (const int compression : {COMPRESSION_NONE, COMPRESSION_LZW}) {
    tiff.compression = compression;
    write_tiff(folder / fmt::format("{}.tif", compression), tiff, {pixels});
    CHECK(image_fingerprint(folder / fmt::format("{}.tif", compression), {}) ==
          image_fingerprint(folder / "a.png", {}));
  }
  // printf '5 3 3\n' followed by the pixels, into sha256sum.
  CHECK(image_fingerprint(folder / "a.png", {}) == "pixels:2084f8de9fe96dbd");
  CHECK(image_fingerprint(folder / "b.ppm", {}) == image_fingerprint(folder / "a.png", {}));
  CHECK(file_fingerprint(folder / "b.ppm") != file_fingerprint(folder / "a.png"));
  CHECK(file_fingerprint(folder / "b.ppm").size() == 16);
}

TEST_CASE("fingerprint: other pixels, another size, another view are another image") {
  const TemporaryFolder folder;
  const Image image = patterned(6, 4);
  Image other = image, wide(4, 6, 3);
  other.pixels.back() ^= 1;
  wide.pixels = image.pixels;
  save_png(folder / "a.png", image), save_png(folder / "b.png", other), save_png(folder / "c.png", wide);
  std::set<std::string> found;
  for (const char* name : {"a.png", "b.png", "c.png"}) found.insert(image_fingerprint(folder / name, {}));
  for (const int64_t x : {0, 3}) found.insert(image_fingerprint(Picture(folder / "a.png", Strip{x, 3}), {}));
  CHECK(found.size() == 5);
  const std::vector<std::string> all =
      image_fingerprints({Picture(folder / "b.png"), Picture(folder / "a.png")}, {});
  CHECK(all.at(1) == image_fingerprint(folder / "a.png", {}));
  CHECK(one_line_with(input_error([&] { image_fingerprint(folder / "none.png", {}); }), "none.png"));
}

TEST_CASE("fingerprint: an image that is only read in strips has one, too") {
  const TemporaryFolder folder;
  Image image(40000, 2, 3);
  save_png(folder / "a.png", image);
  write_file(folder / "b.ppm", as_ppm(image));
  CHECK(image_fingerprint(folder / "a.png", {}) == image_fingerprint(folder / "b.ppm", {}));
  image.pixels.back() = 1;
  write_file(folder / "b.ppm", as_ppm(image));
  CHECK(image_fingerprint(folder / "a.png", {}) != image_fingerprint(folder / "b.ppm", {}));
}

}  // namespace dinomaly
