#include "dinomaly/image/image.h"

#include <doctest/doctest.h>
#include <stb/stb_image_write.h>

#include <cmath>
#include <cstdlib>
#include <fstream>

#include "dinomaly/base/framework.h"
#include "tensor/random.h"
#include "tests/dinomaly/png.h"
#include "tests/support.h"

namespace dinomaly {

namespace {

void append(void* context, void* data, int size) {
  static_cast<std::string*>(context)->append(static_cast<const char*>(data), static_cast<size_t>(size));
}

// A smooth image, which JPEG hardly changes.
Image slope(int64_t width, int64_t height) {
  Image image(width, height, 3);
  for (int64_t y = 0; y < height; ++y) {
    for (int64_t x = 0; x < width; ++x) {
      image.at(x, y)[0] = static_cast<uint8_t>(40 + 3 * x);
      image.at(x, y)[1] = static_cast<uint8_t>(60 + 3 * y);
      image.at(x, y)[2] = static_cast<uint8_t>(200 - 2 * x);
    }
  }
  return image;
}

std::string bmp(const Image& image) {
  std::string bytes;
  stbi_write_bmp_to_func(append, &bytes, static_cast<int>(image.width), static_cast<int>(image.height), 3,
                         image.pixels.data());
  return bytes;
}

int largest_difference(const Image& a, const Image& b) {
  REQUIRE(a.pixels.size() == b.pixels.size());
  int largest = 0;
  for (size_t i = 0; i < a.pixels.size(); ++i)
    largest = std::max(largest, std::abs(a.pixels[i] - b.pixels[i]));
  return largest;
}

// Files with given bytes, loaded at once.
class Loader {
 public:
  Image rgb(const std::string& bytes) { return load_image_rgb(write(bytes)); }
  std::string error(const std::string& bytes) {
    return input_error([&] { rgb(bytes); });
  }

 private:
  std::filesystem::path write(const std::string& bytes) {
    std::ofstream(folder_ / "image.png", std::ios::binary) << bytes;
    return folder_ / "image.png";
  }
  TemporaryFolder folder_;
};

}  // namespace

TEST_CASE("image: PNG, BMP and JPEG are recognised by their bytes and give the image back") {
  Loader load;
  const Image image = slope(37, 29);
  CHECK(load.rgb(encode_png(image)) == image);
  CHECK(load.rgb(bmp(image)) == image);
  CHECK(largest_difference(load.rgb(encode_jpeg(image, 95)), image) <= 6);
  const TemporaryFolder folder;
  save_png(folder / "a/b.png", image);
  CHECK(load_image_rgb(folder / "a/b.png") == image);
}

TEST_CASE("image: grey is repeated, alpha dropped, a palette resolved, of 16 bits the high byte kept") {
  Loader load;
  using Pixels = std::vector<uint8_t>;
  CHECK(load.rgb(png(2, 1, 8, 0, std::string("\0\x07\xF0", 3))).pixels == Pixels{7, 7, 7, 240, 240, 240});
  CHECK(load.rgb(png(2, 1, 1, 0, std::string("\0\x40", 2))).pixels == Pixels{0, 0, 0, 255, 255, 255});
  CHECK(load.rgb(png(1, 1, 8, 4, std::string("\0\x07\x80", 3))).pixels == Pixels{7, 7, 7});
  CHECK(load.rgb(png(1, 1, 8, 6, std::string("\0\1\2\3\0", 5))).pixels == Pixels{1, 2, 3});
  CHECK(load.rgb(png(2, 1, 8, 3, std::string("\0\1\0", 3), "\x0A\x0B\x0C\x14\x15\x16")).pixels ==
        Pixels{20, 21, 22, 10, 11, 12});
  CHECK(load.rgb(png(1, 1, 16, 2, std::string("\0\x12\xFF\x34\x00\x56\x80", 7))).pixels ==
        Pixels{0x12, 0x34, 0x56});
  CHECK(load.rgb(png(1, 1, 16, 0, std::string("\0\xC8\x99", 3))).pixels == Pixels{0xC8, 0xC8, 0xC8});
}

TEST_CASE("image: a file cut short anywhere is an error that names it") {
  Loader load;
  const Image image = slope(20, 9);  // whole BMP rows need no padding
  for (const std::string& whole : {encode_png(image), encode_jpeg(image, 95), bmp(image)}) {
    for (size_t size = 1; size < whole.size(); ++size) {
      CAPTURE(size);
      const std::string message = load.error(whole.substr(0, size));
      CHECK(one_line_with(message, "image.png: "));
      if (size > 30) CHECK(one_line_with(message, "cut short"));
    }
    CHECK(load.error(whole + std::string(100, '\0')).empty());  // what follows the end does not matter
  }
}

TEST_CASE("image: damaged, foreign and outsized files are one clear line") {
  Loader load;
  const Image image = slope(17, 9);
  CHECK(one_line_with(load.error(""), "empty"));
  CHECK(one_line_with(load.error("GIF and so on"), "not a PNG, JPEG, TIFF, WebP, BMP, PNM or NPY"));
  CHECK(one_line_with(input_error([] { load_image_rgb("/nowhere/x.png"); }), "x.png: no such file"));

  std::string damaged = encode_png(image);
  damaged[damaged.size() / 2] ^= 0x10;
  CHECK(one_line_with(load.error(damaged), "wrong checksum"));

  std::string cmyk = encode_jpeg(image, 95);
  const size_t frame = cmyk.find("\xFF\xC0");
  REQUIRE(frame != std::string::npos);
  cmyk[frame + 9] = 4;
  CHECK(one_line_with(load.error(cmyk), "4 components"));

  std::string wild_table = encode_jpeg(image, 95);
  const size_t table = wild_table.find("\xFF\xC4");
  REQUIRE(table != std::string::npos);
  wild_table[table + 5] = wild_table[table + 6] = '\xFF';
  CHECK(one_line_with(load.error(wild_table), "Huffman table"));
  // A scan whose tables are missing: the decoder would take others.
  for (const char marker : {'\xC4', '\xDB'}) {
    std::string other_slot = encode_jpeg(image, 95);
    other_slot[other_slot.find(std::string{'\xFF', marker}) + 4] = 3;
    CHECK(one_line_with(load.error(other_slot), "a scan uses a missing table"));
  }

  CHECK(one_line_with(load.error(png(40000, 1, 8, 0, "")), "40000 x 1 pixels"));
  CHECK(one_line_with(load.error(png(32000, 32000, 8, 0, "")), "more than the limit"));
  CHECK(
      one_line_with(load.error(png(4, 4, 8, 0, std::string(5, '\0'))), "cannot decode"));  // one row of four
  CHECK(one_line_with(load.error(png(0, 4, 8, 0, "")), "0 x 4 pixels"));
  CHECK_THROWS_AS(encode_png(Image()), Error);
}

TEST_CASE("image: changed bytes give an image or an error, never a crash") {
  Loader load;
  Generator generator(3);
  const Image image = slope(17, 9);
  for (const std::string& whole : {encode_png(image), encode_jpeg(image, 95), bmp(image)}) {
    for (int round = 0; round < 300; ++round) {
      std::string bytes = whole;
      for (int change = 0; change < 3; ++change) {
        bytes[generator.below(bytes.size())] = static_cast<char>(generator.next_word());
      }
      const std::string message = load.error(bytes);
      CHECK((message.empty() || one_line_with(message, "image.png: ")));
    }
  }
}

}  // namespace dinomaly
