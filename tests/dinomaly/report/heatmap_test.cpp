#include "dinomaly/report/heatmap.h"

#include <doctest/doctest.h>

#include <cmath>

#include "dinomaly/base/framework.h"
#include "tests/support.h"

namespace dinomaly {

namespace {

double luma(const std::array<uint8_t, 3>& c) { return 0.299 * c[0] + 0.587 * c[1] + 0.114 * c[2]; }

}  // namespace

TEST_CASE("heat_colour: grows brighter from black to pale yellow, clamps, and takes NaN") {
  CHECK(heat_colour(0) == std::array<uint8_t, 3>{0, 0, 4});
  CHECK(heat_colour(0.5) == std::array<uint8_t, 3>{186, 54, 85});
  CHECK(heat_colour(1) == std::array<uint8_t, 3>{252, 255, 164});
  CHECK(heat_colour(-3) == heat_colour(0));
  CHECK(heat_colour(7) == heat_colour(1));
  CHECK(heat_colour(std::nan("")) == heat_colour(0));
  for (int i = 0; i < 100; ++i) CHECK(luma(heat_colour((i + 1) / 100.0)) >= luma(heat_colour(i / 100.0)));
}

TEST_CASE("heatmap: image, mask and map side by side") {
  Image rgb(4, 2, 3);
  for (size_t i = 0; i < rgb.pixels.size(); ++i) rgb.pixels[i] = static_cast<uint8_t>(i);
  const Tensor mask = Tensor::from<uint8_t>({0, 1}, {1, 2});  // the right half
  const Tensor map = Tensor::from<float>({2, 2, 2, 10, 2, 2, 2, 10}, {2, 4});
  const Image image = draw_heatmap(rgb, mask, map, 2, 10);
  REQUIRE(image.width == 3 * 4 + 2 * 2);
  REQUIRE(image.height == 2);
  for (int64_t y = 0; y < 2; ++y) {
    for (int64_t x = 0; x < 4; ++x) {
      for (int64_t c = 0; c < 3; ++c) {
        CHECK(image.at(x, y)[c] == rgb.at(x, y)[c]);
        CHECK(image.at(6 + x, y)[c] == (x >= 2 ? 255 : 0));
      }
    }
    CHECK(image.at(4, y)[0] == 255);
    CHECK(image.at(11, y)[2] == 255);
    // The top of the scale is bright yellow over the dark image, the bottom nearly black.
    CHECK(image.at(15, y)[0] > 170);
    CHECK(image.at(12, y)[0] < 20);
  }
  // Without a mask its panel is black; a map of another size is stretched.
  const Image plain = draw_heatmap(rgb, {}, Tensor::from<float>({5}, {1, 1}), 0, 5);
  CHECK(plain.at(9, 1)[1] == 0);
  CHECK(plain.at(12, 0)[0] > 170);
}

TEST_CASE("heatmap: the file can be read again; a bad scale or shape is an error") {
  const TemporaryFolder folder;
  const Image rgb(5, 3, 3);
  const Tensor map = Tensor::full({3, 5}, 0.5);
  save_heatmap(folder / "bottle/broken_000.png", rgb, {}, map, 0, 1);
  CHECK(load_image_rgb(folder / "bottle/broken_000.png") == draw_heatmap(rgb, {}, map, 0, 1));
  CHECK_THROWS_AS(draw_heatmap(rgb, {}, map, 1, 1), Error);
  CHECK_THROWS_AS(draw_heatmap(rgb, {}, Tensor::full({1, 3, 5}, 0.5), 0, 1), Error);
  CHECK_THROWS_AS(draw_heatmap(Image(5, 3, 1), {}, map, 0, 1), Error);
}

}  // namespace dinomaly
