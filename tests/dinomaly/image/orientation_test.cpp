// The EXIF orientation of images and masks.
#include <doctest/doctest.h>

#include "dinomaly/base/files.h"
#include "dinomaly/base/framework.h"
#include "dinomaly/image/exif.h"
#include "dinomaly/image/image.h"
#include "tests/dinomaly/image_writers.h"
#include "tests/support.h"

namespace dinomaly {

namespace {

// What people see: 3 x 2 pixels, 1 2 3 above 4 5 6.
const std::vector<uint8_t> upright{1, 2, 3, 4, 5, 6};

// How a camera stores it that was held so: EXIF 2.32, section 4.6.4.
struct Stored {
  int orientation;
  int64_t width, height;
  std::vector<uint8_t> pixels;
};
const std::vector<Stored> all_stored{{1, 3, 2, {1, 2, 3, 4, 5, 6}}, {2, 3, 2, {3, 2, 1, 6, 5, 4}},
                                     {3, 3, 2, {6, 5, 4, 3, 2, 1}}, {4, 3, 2, {4, 5, 6, 1, 2, 3}},
                                     {5, 2, 3, {1, 4, 2, 5, 3, 6}}, {6, 2, 3, {3, 6, 2, 5, 1, 4}},
                                     {7, 2, 3, {6, 3, 5, 2, 4, 1}}, {8, 2, 3, {4, 1, 5, 2, 6, 3}}};

Image grey_image(const Stored& stored) {
  Image image(stored.width, stored.height, 1);
  image.pixels = stored.pixels;
  return image;
}

std::vector<uint8_t> first_channel(const Image& image) {
  std::vector<uint8_t> result;
  for (size_t i = 0; i < image.pixels.size(); i += static_cast<size_t>(image.channels))
    result.push_back(image.pixels[i]);
  return result;
}

std::vector<uint8_t> repeated(const std::vector<uint8_t>& grey) {
  std::vector<uint8_t> result;
  for (const uint8_t value : grey) result.insert(result.end(), 3, value);
  return result;
}

}  // namespace

TEST_CASE("orientation: all eight, of PNG, TIFF, WebP and JPEG; pixels as stored where the rules say so") {
  const TemporaryFolder folder;
  for (const Stored& stored : all_stored) {
    CAPTURE(stored.orientation);
    const Image image = grey_image(stored);
    CHECK(turned(image, stored.orientation).pixels == upright);
    write_file(folder / "a.png", png_with_exif(encode_png(image), stored.orientation));
    const auto webp = webp_of(repeated(stored.pixels), stored.width, stored.height);
    write_file(folder / "b.png", webp_with_exif(webp, stored.width, stored.height, stored.orientation));
    write_tiff(folder / "c.png",
               {.width = static_cast<int>(stored.width),
                .height = static_cast<int>(stored.height),
                .orientation = stored.orientation},
               {text_of(stored.pixels)});
    for (const char* name : {"a.png", "b.png", "c.png"}) {
      CAPTURE(name);
      const Image seen = load_image_rgb(folder / name);
      CHECK((seen.width == 3 && seen.height == 2));
      CHECK(first_channel(seen) == upright);
      CHECK(first_channel(load_image_rgb(folder / name, {.exif_orientation = false, .bit_depth = 16})) ==
            stored.pixels);
    }
    for (const bool little : {true, false}) {
      const std::string jpeg = encode_jpeg(image, 95);
      write_file(folder / "d.jpg", jpeg);
      write_file(folder / "e.jpg", jpeg_with_exif(jpeg, stored.orientation, little));
      CHECK(load_image_rgb(folder / "e.jpg") == turned(load_image_rgb(folder / "d.jpg"), stored.orientation));
    }
  }
}

TEST_CASE("orientation: the tag may be a LONG") {
  const TemporaryFolder folder;
  const std::string plain = encode_jpeg(grey_image(all_stored[0]), 95);
  write_file(folder / "plain.jpg", plain);
  const Image expected = turned(load_image_rgb(folder / "plain.jpg"), 6);
  for (const bool little : {true, false}) {
    std::string file = jpeg_with_exif(plain, 6, little);
    const size_t tag =
        file.find(little ? std::string("\x12\x01\x03\0", 4) : std::string("\x01\x12\0\x03", 4));
    REQUIRE(tag != std::string::npos);
    file[tag + (little ? 2 : 3)] = 4;
    file.replace(tag + 8, 4, little ? std::string("\6\0\0\0", 4) : std::string("\0\0\0\6", 4));
    write_file(folder / "a.jpg", file);
    CHECK(load_image_rgb(folder / "a.jpg") == expected);
  }
}

TEST_CASE("orientation: what makes no sense leaves the image upright") {
  const TemporaryFolder folder;
  const std::string plain = encode_jpeg(grey_image(all_stored[0]), 95);
  write_file(folder / "plain.jpg", plain);
  const Image expected = load_image_rgb(folder / "plain.jpg");
  for (const int orientation : {0, 9, 255}) {
    write_file(folder / "a.jpg", jpeg_with_exif(plain, orientation));
    CHECK(load_image_rgb(folder / "a.jpg") == expected);
  }
  const std::string whole = jpeg_with_exif(plain, 6);
  const size_t block = whole.find("II");
  for (size_t i = 0; i < exif_block(6).size() - 8; ++i) {  // each byte of the directory wild: no crash
    std::string wild = whole;
    wild[block + i] = '\xFF';
    write_file(folder / "a.jpg", wild);
    CHECK(input_error([&] { load_image_rgb(folder / "a.jpg"); }).empty());
  }
}

TEST_CASE("orientation: a mask is turned as the image is, by its own tag") {
  const TemporaryFolder folder;
  for (const Stored& stored : all_stored) {
    CAPTURE(stored.orientation);
    Image mask = grey_image(stored);
    for (uint8_t& pixel : mask.pixels) pixel = pixel == 2 ? 1 : 0;
    write_file(folder / "mask.png", png_with_exif(encode_png(mask), stored.orientation));
    CHECK(load_mask(folder / "mask.png", 3, 2).pixels == std::vector<uint8_t>{0, 255, 0, 0, 0, 0});
    if (stored.orientation < 5) continue;
    // Of a model that takes pixels as stored, the image is 2 x 3, and so is its mask.
    const Image as_stored = load_mask(folder / "mask.png", 2, 3);
    for (size_t i = 0; i < 6; ++i) CHECK((as_stored.pixels[i] == 255) == (mask.pixels[i] == 1));
  }
}

}  // namespace dinomaly
