#include "dinomaly/report/heatmap.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>

#include "dinomaly/base/framework.h"
#include "dinomaly/image/regions.h"
#include "dinomaly/report/overlay.h"
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

TEST_CASE("overlay: contours are seen on white, black and coloured parts") {
  Tensor map = Tensor::zeros({40, 60});
  for (int64_t y = 10; y < 30; ++y)
    for (int64_t x = 20; x < 40; ++x) map.data<float>()[y * 60 + x] = 0.6f;
  const std::vector<std::array<uint8_t, 3>> parts{{255, 255, 255}, {0, 0, 0},     {220, 20, 20},
                                                  {252, 255, 164}, {20, 60, 200}, {128, 128, 128}};
  for (const auto& part : parts) {
    CAPTURE(luma(part));
    Image rgb(60, 40, 3);
    for (int64_t i = 0; i < 60 * 40; ++i) std::copy(part.begin(), part.end(), rgb.pixels.begin() + 3 * i);
    const Image out = draw_overlay(rgb, map, {0, 0, 60, 40}, {0, 1}, 0.5);
    const auto luma_at = [&](int64_t x, int64_t y) {
      const uint8_t* p = out.at(x, y);
      return luma({p[0], p[1], p[2]});
    };
    // Across each edge: the part, a dark line, a bright line, colour.
    for (const auto& [x, y, dx, dy] : std::vector<std::array<int64_t, 4>>{
             {20, 20, 1, 0}, {39, 20, -1, 0}, {30, 10, 0, 1}, {30, 29, 0, -1}}) {
      CHECK(luma_at(x, y) - luma_at(x - dx, y - dy) > 200);
      CHECK(luma_at(x, y) > 250);
      CHECK(luma_at(x + 3 * dx, y + 3 * dy) < 250);
    }
    CHECK(std::abs(luma_at(5, 5) - luma(part)) < 2);  // far from it the part itself
  }
}

TEST_CASE("overlay: specks are not outlined, by the rule of the regions that are listed") {
  Image rgb(200, 200, 3);
  std::fill(rgb.pixels.begin(), rgb.pixels.end(), uint8_t{120});
  Tensor map = Tensor::zeros({200, 200});
  const auto put = [&](int64_t left, int64_t top, int64_t side) {
    for (int64_t y = top; y < top + side; ++y)
      for (int64_t x = left; x < left + side; ++x) map.data<float>()[y * 200 + x] = 0.6f;
  };
  put(20, 20, 1), put(100, 100, 2);  // 1 and 4 pixels
  const Box all{0, 0, 200, 200};
  CHECK(smallest_shown(all) == 4);
  CHECK(smallest_shown({0, 0, 1000, 1000}) == 100);
  CHECK(smallest_shown({5, 5, 7, 7}) == 1);
  const Image out = draw_overlay(rgb, map, all, {0, 1}, 0.5, smallest_shown(all));
  CHECK(out.at(19, 20)[0] == 120);  // nothing around the speck
  CHECK(out.at(99, 100)[0] == 0);
  CHECK(out.at(100, 100)[1] == 255);
  CHECK(find_regions(map, all, 0.5, smallest_shown(all)).size() == 1);
  // Nothing at all where no threshold is known.
  const Image none = draw_overlay(rgb, map, all, {0, 1}, INFINITY);
  CHECK(none.at(99, 100)[0] == 120);
}

TEST_CASE(
    "overlay: the scale of a map without calibration shows its peak, and not the noise of a good image") {
  std::vector<float> values(100 * 100, 0.01f);
  const auto scale_of = [&] { return own_scale(Tensor::from<float>(values, {100, 100}), {0, 0, 100, 100}); };
  const auto place_of_peak = [&](float peak) {
    values[5050] = peak;
    const ColourScale scale = scale_of();
    CHECK(scale.low == doctest::Approx(0.01));
    return (peak - scale.low) / (scale.high - scale.low);
  };
  CHECK(place_of_peak(0.02f) == doctest::Approx(0.6));  // as on a good image: seen, but no defect's colour
  CHECK(place_of_peak(0.05f) == doctest::Approx(0.6));
  CHECK(place_of_peak(0.065f) == doctest::Approx(0.8));
  CHECK(place_of_peak(0.3f) == doctest::Approx(1));                // a defect: the last colour
  for (size_t i = 2000; i < values.size(); ++i) values[i] = 0.1f;  // one that covers most of the image
  values[5050] = 0.3f;
  CHECK(own_scale(Tensor::from<float>(values, {100, 100}), {0, 0, 100, 100}).high == doctest::Approx(0.3));
  values.assign(values.size(), 0.0f);
  CHECK(scale_of().low < scale_of().high);
  // Outside the inspected part values do not count.
  values[0] = 9;
  CHECK(own_scale(Tensor::from<float>(values, {100, 100}), {10, 10, 80, 80}).high < 1);
}

TEST_CASE("overlay: the image's size, grey where nothing was seen, a line around what is above") {
  Image image(40, 30, 3);
  for (size_t i = 0; i < image.pixels.size(); i += 3) image.pixels[i] = 200;  // red
  Tensor map = Tensor::zeros({30, 40});
  for (int64_t y = 10; y < 20; ++y)
    for (int64_t x = 10; x < 20; ++x) map.data<float>()[y * 40 + x] = 0.9f;
  const Image out = draw_overlay(image, map, {5, 0, 35, 30}, {0, 1}, 0.5);
  REQUIRE((out.width == 40 && out.height == 30));
  CHECK(out.at(0, 0)[0] == out.at(0, 0)[1]);  // not seen
  CHECK(out.at(6, 5)[0] == 200);              // at the low end: the image itself
  CHECK(out.at(10, 15)[1] == 255);            // the line
  CHECK(out.at(15, 15)[1] > 100);             // bright colour inside
  CHECK(out.at(15, 15)[1] < 255);
}

}  // namespace dinomaly
