// The position of maps in images, and the regions found there.
#include "dinomaly/image/image_map.h"

#include <doctest/doctest.h>

#include <functional>

#include "dinomaly/base/framework.h"
#include "dinomaly/image/regions.h"
#include "tests/support.h"

using namespace dinomaly;

namespace {

ImageConfig sizes(int64_t resize_w, int64_t resize_h, int64_t crop_w, int64_t crop_h) {
  ImageConfig config;
  config.resize_w = resize_w, config.resize_h = resize_h, config.crop_w = crop_w, config.crop_h = crop_h;
  return config;
}

Tensor map_of(int64_t height, int64_t width, const std::function<double(int64_t, int64_t)>& value) {
  const Tensor map = Tensor::empty({height, width});
  for (int64_t i = 0; i < height * width; ++i)
    map.data<float>()[i] = static_cast<float>(value(i % width, i / width));
  return map;
}

}  // namespace

TEST_CASE("image_map: without a crop everything is seen; with one, the middle") {
  CHECK(inspected_box(900, 700, sizes(448, 448, 448, 448)) == Box{0, 0, 900, 700});
  CHECK(inspected_box(448, 448, sizes(448, 448, 392, 392)) == Box{28, 28, 392, 392});
  CHECK(inspected_box(896, 224, sizes(448, 448, 392, 392)) == Box{56, 14, 784, 196});
  CHECK(inspected_box(1, 1, sizes(448, 448, 14, 14)).width == 1);
}

TEST_CASE("image_map: a linear map stays linear, in place, and is continued outside the crop") {
  // In crop pixels the value is x + 100 y (pixel centres); the image is twice as large as the resized one.
  const ImageConfig config = sizes(100, 60, 80, 40);
  const Tensor map = map_of(40, 80, [](int64_t x, int64_t y) { return x + 100.0 * y; });
  const Tensor out = map_to_image(map, 200, 120, config);
  REQUIRE(out.shape() == Shape({120, 200}));
  const auto at = [&](int64_t x, int64_t y) { return out.data<float>()[y * 200 + x]; };
  for (const auto& [x, y] : {std::pair<int64_t, int64_t>{21, 21}, {100, 60}, {177, 97}}) {
    const double crop_x = (x + 0.5) / 2 - 10 - 0.5, crop_y = (y + 0.5) / 2 - 10 - 0.5;
    CHECK(at(x, y) == doctest::Approx(crop_x + 100 * crop_y).epsilon(1e-5));
  }
  CHECK(at(0, 60) == at(20, 60));
  CHECK(at(199, 60) == at(180, 60));
  CHECK(at(5, 0) == at(5, 20));
}

TEST_CASE("image_map: a peak of the small map lands on its pixels in the image") {
  Tensor map = Tensor::zeros({16, 16});
  map.data<float>()[4 * 16 + 10] = 1;
  const Tensor out = resize_map(map, 160, 320);
  const std::vector<Region> regions = find_regions(out, {0, 0, 160, 320}, 0.5);
  REQUIRE(regions.size() == 1);
  CHECK(regions[0].centroid_x == doctest::Approx(104.5));
  CHECK(regions[0].centroid_y == doctest::Approx(89.5));
}

TEST_CASE("regions: box, area, peak and centroid, the highest first") {
  Tensor map = Tensor::zeros({8, 10});
  const auto set = [&](int64_t x, int64_t y, float value) { map.data<float>()[y * 10 + x] = value; };
  set(1, 1, 2), set(2, 2, 3), set(3, 1, 2);  // touching at corners: one region
  set(7, 5, 5), set(8, 5, 4);
  set(5, 7, 1);  // not above the threshold
  const std::vector<Region> regions = find_regions(map, {0, 0, 10, 8}, 1.0);
  REQUIRE(regions.size() == 2);
  CHECK(regions[0].box == Box{7, 5, 2, 1});
  CHECK(regions[0].area == 2);
  CHECK(regions[0].peak == 5);
  CHECK(regions[0].peak_x == 7);
  CHECK(regions[0].centroid_x == doctest::Approx(7.5));
  CHECK(regions[1].box == Box{1, 1, 3, 2});
  CHECK(regions[1].area == 3);
  CHECK(regions[1].peak_x == 2);
  CHECK(regions[1].peak_y == 2);
  CHECK(regions[1].centroid_y == doctest::Approx(4.0 / 3));
  CHECK(find_regions(map, {0, 0, 10, 8}, 1.0, 3).size() == 1);
}

TEST_CASE("regions: only what was seen counts, in the image's coordinates") {
  const Tensor map = Tensor::ones({8, 10});
  const std::vector<Region> regions = find_regions(map, {2, 3, 4, 5}, 0.5);
  REQUIRE(regions.size() == 1);
  CHECK(regions[0].box == Box{2, 3, 4, 5});
  CHECK(regions[0].area == 20);
  CHECK(regions[0].centroid_x == doctest::Approx(3.5));
  CHECK(regions[0].centroid_y == doctest::Approx(5));
  CHECK(regions[0].peak_x == 2);
  CHECK(regions[0].peak_y == 3);
  CHECK(find_regions(map, {0, 0, 10, 8}, 1.0).empty());
}
