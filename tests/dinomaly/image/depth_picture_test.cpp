// The depth of a scene as a picture: exact values, and files that are none.
#include "dinomaly/image/depth_picture.h"

#include <doctest/doctest.h>

#include <cmath>
#include <limits>

#include "dinomaly/base/files.h"
#include "dinomaly/base/framework.h"
#include "dinomaly/image/picture.h"
#include "tests/dinomaly/image_writers.h"
#include "tests/support.h"

namespace dinomaly {

namespace {

using Rgb = std::array<uint8_t, 3>;

template <class T>
std::string packed(const std::vector<T>& values) {
  return {reinterpret_cast<const char*>(values.data()), values.size() * sizeof(T)};
}

Rgb colour_at(const Image& image, int64_t x, int64_t y = 0) {
  return {image.at(x, y)[0], image.at(x, y)[1], image.at(x, y)[2]};
}

constexpr TiffFormat floats{.width = 2, .height = 1, .bits = 32, .format = SAMPLEFORMAT_IEEEFP};

}  // namespace

TEST_CASE("depth picture: the colour table goes from black over red and yellow to white") {
  CHECK(hot_colour(0) == Rgb{0, 0, 0});
  CHECK(hot_colour(255) == Rgb{255, 255, 255});
  // Level 85 is knot 21: t = 1/3, R = 5/6, the others not begun.
  CHECK(hot_colour(85) == Rgb{213, 0, 0});  // 212.5
  // Level 170 is knot 42: t = 2/3, G = 2/3.
  CHECK(hot_colour(170) == Rgb{255, 170, 0});
  // Level 51: t = 0.2, between knots 12 and 13, where R is linear: 255 / 2.
  CHECK(hot_colour(51) == Rgb{128, 0, 0});  // 127.5
  // Level 102 is at 25.2, where R bends: 0.8 * 2.5 * 25 / 63 + 0.2 * 1.
  CHECK(hot_colour(102)[0] == 253);
  // Level 204 is at 50.4, where G ends, 0.6 * (2.5 * 50 / 63 - 1) + 0.4, and B begins, 0.4 * (5 * 51 / 63 - 4).
  CHECK(hot_colour(204) == Rgb{255, 253, 5});
  for (int level = 1; level < 256; ++level) {
    const Rgb below = hot_colour(static_cast<uint8_t>(level - 1)),
              here = hot_colour(static_cast<uint8_t>(level));
    for (size_t c = 0; c < 3; ++c) CHECK(here[c] >= below[c]);
  }
}

TEST_CASE("depth picture: the nearest is brightest, the farthest a fifth, the background black") {
  const DepthMap depth{5, 1, {2.0f, 4.0f, 3.0f, 0.0f, -1.0f}};
  const Image picture = depth_picture(depth);
  CHECK(colour_at(picture, 0) == hot_colour(255));  // v = 1
  CHECK(colour_at(picture, 1) == hot_colour(50));   // int(255 * (1 - 0.8f)) = int(50.99)
  CHECK(colour_at(picture, 2) == hot_colour(153));  // v = 0.6 in f32: 153.0000015
  CHECK(colour_at(picture, 3) == Rgb{0, 0, 0});
  CHECK(colour_at(picture, 4) == Rgb{0, 0, 0});
  CHECK(colour_at(depth_picture({2, 1, {7.0f, 7.0f}}), 1) == hot_colour(255));
  Image rgb(5, 1, 3);
  rgb.pixels.assign(15, 9);
  blacken_background(rgb, depth);
  CHECK(colour_at(rgb, 2) == Rgb{9, 9, 9});
  CHECK(colour_at(rgb, 3) == Rgb{0, 0, 0});
  CHECK(colour_at(rgb, 4) == Rgb{0, 0, 0});
}

TEST_CASE("depth picture: z from floats and from integers") {
  const TemporaryFolder folder;
  write_tiff(folder / "z.tiff", floats, {packed(std::vector<float>{0.5f, 0.0f})});
  const DepthMap z = load_depth(folder / "z.tiff");
  CHECK((z.width == 2 && z.height == 1));
  CHECK(z.z == std::vector<float>{0.5f, 0.0f});
  write_file(folder / "deep.png", png(2, 1, 16, 0, std::string("\0\x01\x02\0\0", 5)));
  CHECK(load_depth(folder / "deep.png").z == std::vector<float>{258.0f, 0.0f});
}

TEST_CASE("depth picture: files that are no depth are one clear line") {
  const TemporaryFolder folder;
  const auto error = [&](const std::string& name) { return input_error([&] { load_depth(folder / name); }); };
  const auto tiff = [&](const std::string& name, const TiffFormat& format, const std::vector<float>& values) {
    write_tiff(folder / name, format, {packed(values)});
    return error(name);
  };
  constexpr float nan = std::numeric_limits<float>::quiet_NaN(), infinity = INFINITY;
  CHECK(one_line_with(tiff("nan.tiff", floats, {1, nan}), "nan.tiff: the depth at (1, 0) is not finite"));
  CHECK(one_line_with(tiff("inf.tiff", floats, {infinity, 1}), "the depth at (0, 0) is not finite"));
  CHECK(one_line_with(tiff("none.tiff", floats, {0, -3}), "none.tiff: no pixel of the depth is above 0"));
  CHECK(tiff("x.tiff", floats, {1, 1}).empty());
  TiffFormat two = floats;
  two.samples = 2;
  CHECK(one_line_with(tiff("two.tiff", two, {1, 1, 1, 1}), "two.tiff: no depth: 2 samples of 32 bits"));
  write_file(folder / "cut.tiff", read_file(folder / "x.tiff", 10000).substr(0, 20));
  CHECK(one_line_with(error("cut.tiff"), "cut.tiff"));
  save_png(folder / "rgb.png", Image(2, 2, 3));
  CHECK(one_line_with(error("rgb.png"), "rgb.png: no depth: 3 channels of 8 bits"));
  save_png(folder / "black.png", Image(2, 2, 1));
  CHECK(one_line_with(error("black.png"), "no pixel of the depth is above 0"));
  CHECK(one_line_with(error("gone.png"), "gone.png"));
}

TEST_CASE("picture: an image with depth has six channels, and its background is black") {
  const TemporaryFolder folder;
  write_tiff(folder / "z.tiff", floats, {packed(std::vector<float>{1.0f, 0.0f})});
  Image rgb(2, 1, 3);
  rgb.pixels = {10, 20, 30, 40, 50, 60};
  save_png(folder / "rgb.png", rgb);
  Picture picture(folder / "rgb.png");
  picture.depth = folder / "z.tiff";
  const Image both = load_picture(picture);
  CHECK(both.channels == 6);
  CHECK(both.pixels == std::vector<uint8_t>{10, 20, 30, 255, 255, 255, 0, 0, 0, 0, 0, 0});
  CHECK(colours_of(both).pixels == std::vector<uint8_t>{10, 20, 30, 0, 0, 0});
  CHECK(colours_of(rgb) == rgb);
  save_png(folder / "rgb.png", Image(3, 1, 3));
  CHECK(one_line_with(input_error([&] { load_picture(picture); }),
                      "z.tiff: the depth is 2 x 1, its image 3 x 1"));
}

}  // namespace dinomaly
