// Few-shot training: how images are varied.
#include "dinomaly/image/augment.h"

#include <doctest/doctest.h>

#include <cmath>
#include <map>
#include <set>

#include "dinomaly/base/framework.h"
#include "dinomaly/image/resize.h"

namespace dinomaly {

namespace {

ImageConfig augmented_sizes(int64_t resize_h, int64_t resize_w, int64_t crop_h, int64_t crop_w) {
  ImageConfig config;
  config.resize_h = resize_h, config.resize_w = resize_w, config.crop_h = crop_h, config.crop_w = crop_w;
  return config;
}

Image counted(int64_t width, int64_t height) {
  Image image(width, height, 3);
  for (size_t i = 0; i < image.pixels.size(); ++i) image.pixels[i] = static_cast<uint8_t>(i * 7 % 256);
  return image;
}

}  // namespace

TEST_CASE("augment: the part has the crop's area and aspect, lies anywhere; turns and flips are fair") {
  const ImageConfig config = augmented_sizes(448, 448, 392, 392);
  Generator generator(3);
  std::map<int, int> turns;
  int left_right = 0, upside_down = 0, wide = 0;
  std::set<int64_t> tops, lefts, widths;
  constexpr int draws = 4000;
  for (int i = 0; i < draws; ++i) {
    const uint64_t before = generator.offset();
    const Variation v = draw_variation(config, generator);
    CHECK(generator.offset() - before <= most_draws_per_variation);
    CHECK((v.top >= 0 && v.left >= 0 && v.top + v.height <= 448 && v.left + v.width <= 448));
    CHECK(std::abs(static_cast<double>(v.width * v.height) / (392.0 * 392) - 1) < 0.003);
    const double aspect = static_cast<double>(v.width) / static_cast<double>(v.height);
    CHECK(aspect > 0.947);
    CHECK(aspect < 1.053);
    ++turns[v.quarter_turns], left_right += v.left_right, upside_down += v.upside_down, wide += aspect > 1;
    tops.insert(v.top), lefts.insert(v.left), widths.insert(v.width);
  }
  // From round(392 sqrt(0.95)) = 382 to round(392 sqrt(1.05)) = 402, and offsets from 0 to 448 - 382.
  CHECK((*widths.begin() == 382 && *widths.rbegin() == 402));
  CHECK((*tops.begin() == 0 && *tops.rbegin() >= 64 && *lefts.begin() == 0 && *lefts.rbegin() >= 64));
  REQUIRE(turns.size() == 4);
  for (const auto& [turn, count] : turns) CHECK(std::abs(count - draws / 4) < 140);  // 5 sigma
  for (const int count : {left_right, upside_down}) CHECK(std::abs(count - draws / 2) < 160);
  CHECK(std::abs(wide - draws * 0.475) < 160);  // of 20 widths one makes a square
}

TEST_CASE(
    "augment: where nothing fits the part is the middle one, and crops that are no squares keep their "
    "shape") {
  Generator generator(1);
  for (int i = 0; i < 20; ++i) {  // of 448 of 448 pixels only the whole picture fits
    const Variation v = draw_variation(augmented_sizes(448, 448, 448, 448), generator);
    CHECK((v.top == 0 && v.left == 0 && v.height == 448 && v.width == 448));
  }
  const Variation tall =
      draw_variation(augmented_sizes(600, 200, 200, 200), generator);  // too wide most of the time
  CHECK(tall.width <= 200);
  const Variation middle = draw_variation(augmented_sizes(1000, 100, 100, 1000 / 10), generator);
  CHECK((middle.width <= 100 && middle.height <= 106 && middle.top >= 0));
  std::set<int> turns;
  for (int i = 0; i < 60; ++i) {
    const Variation v = draw_variation(augmented_sizes(64, 128, 56, 112), generator);
    turns.insert(v.quarter_turns);
    const double aspect = static_cast<double>(v.width) / static_cast<double>(v.height) / 2;
    CHECK((aspect > 0.93 && aspect < 1.07));
  }
  CHECK(turns == std::set<int>{0, 2});
}

TEST_CASE("augment: the part is resized as PIL does, turned counterclockwise, then mirrored") {
  const Image image = counted(20, 16);
  const ImageConfig config = augmented_sizes(16, 20, 8, 8);
  const Image plain = varied(image, {2, 3, 10, 12, 0, false, false}, config);
  Image part(12, 10, 3);
  for (int64_t y = 0; y < 10; ++y) std::copy_n(image.at(3, 2 + y), 36, part.row(y));
  CHECK(plain == resize_pil(part, {.resize_h = 8, .resize_w = 8, .crop_h = 8, .crop_w = 8}));
  const auto moved = [&](int turns, bool left_right, bool upside_down, auto from) {
    const Image got = varied(image, {2, 3, 10, 12, turns, left_right, upside_down}, config);
    bool same = got.width == 8 && got.height == 8;
    for (int64_t y = 0; y < 8; ++y) {
      for (int64_t x = 0; x < 8; ++x) {
        const auto [fx, fy] = from(x, y);
        same = same && std::equal(got.at(x, y), got.at(x, y) + 3, plain.at(fx, fy));
      }
    }
    return same;
  };
  using At = std::pair<int64_t, int64_t>;  // where the pixel at (x, y) came from
  CHECK(moved(1, false, false, [](int64_t x, int64_t y) { return At{7 - y, x}; }));
  CHECK(moved(2, false, false, [](int64_t x, int64_t y) { return At{7 - x, 7 - y}; }));
  CHECK(moved(3, false, false, [](int64_t x, int64_t y) { return At{y, 7 - x}; }));
  CHECK(moved(0, true, false, [](int64_t x, int64_t y) { return At{7 - x, y}; }));
  CHECK(moved(0, false, true, [](int64_t x, int64_t y) { return At{x, 7 - y}; }));
  CHECK(moved(1, true, true, [](int64_t x, int64_t y) { return At{y, 7 - x}; }));
  CHECK_THROWS_AS(varied(image, {10, 0, 10, 12, 0, false, false}, config), Error);
}

}  // namespace dinomaly
