// Images judged as a whole, and large ones in tiles.
#include "dinomaly/image/tiles.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <numeric>

#include "dinomaly/base/framework.h"
#include "dinomaly/image/image_map.h"
#include "dinomaly/inference/predict.h"
#include "dinomaly/model/anomaly_map.h"
#include "tests/dinomaly/small_detector.h"
#include "tests/dinomaly/small_model.h"
#include "tests/support.h"

using namespace dinomaly;

namespace {

// The largest difference between horizontal or vertical neighbours.
double largest_step(const Tensor& map) {
  const int64_t height = map.size(0), width = map.size(1);
  const float* value = map.data<float>();
  double largest = 0;
  for (int64_t y = 0; y < height; ++y) {
    for (int64_t x = 0; x < width; ++x) {
      if (x > 0)
        largest = std::max<double>(largest, std::abs(value[y * width + x] - value[y * width + x - 1]));
      if (y > 0)
        largest = std::max<double>(largest, std::abs(value[y * width + x] - value[(y - 1) * width + x]));
    }
  }
  return largest;
}

double relative_difference(const Tensor& a, const Tensor& b) {
  const std::vector<float> x = a.to_vector<float>(), y = b.to_vector<float>();
  REQUIRE(x.size() == y.size());
  double worst = 0;
  for (size_t i = 0; i < x.size(); ++i)
    worst = std::max<double>(worst, std::abs(x[i] - y[i]) / std::abs(y[i]));
  return worst;
}

}  // namespace

TEST_CASE("tiles: they cover the image, share at least the overlap and stay inside") {
  for (const auto& [width, height] :
       {std::pair<int64_t, int64_t>{1000, 700}, {64, 64}, {65, 300}, {40, 200}}) {
    const Tiling tiling{64, 16};
    std::vector<int> covered(static_cast<size_t>(width * height), 0);
    Box last{-1, -1, 0, 0};
    for (const Box& box : tile_boxes(width, height, tiling)) {
      CHECK(box.width == std::min<int64_t>(64, width));
      REQUIRE((box.x >= 0 && box.y >= 0 && box.x + box.width <= width && box.y + box.height <= height));
      if (last.y == box.y) CHECK(last.x + last.width - box.x >= 16);
      last = box;
      for (int64_t y = box.y; y < box.y + box.height; ++y)
        for (int64_t x = box.x; x < box.x + box.width; ++x) ++covered[static_cast<size_t>(y * width + x)];
    }
    CHECK(*std::min_element(covered.begin(), covered.end()) >= 1);
  }
  CHECK(tile_boxes(64, 64, {64, 16}).size() == 1);
  CHECK(tile_boxes(65, 64, {64, 16}).size() == 2);
  CHECK(tile_boxes(112, 64, {64, 16}).size() == 2);
  CHECK(tile_boxes(113, 64, {64, 16}).size() == 3);
}

TEST_CASE("tiles: equal maps blend to themselves, and a slope within the tiles leaves no step between them") {
  TileBlend flat(300, 200, {64, 24});
  for (const Box& box : flat.boxes()) flat.add(box, Tensor::full({box.height, box.width}, 0.7));
  for (float value : flat.result().to_vector<float>()) CHECK(std::abs(value - 0.7f) < 1e-6f);

  // Every tile has the same map, rising by 1 from left to right: side by side they would jump by 1.
  TileBlend slopes(300, 64, {64, 24});
  for (const Box& box : slopes.boxes()) {
    const Tensor map = Tensor::empty({box.height, box.width});
    for (int64_t i = 0; i < map.numel(); ++i)
      map.data<float>()[i] = static_cast<float>(i % box.width) / static_cast<float>(box.width - 1);
    slopes.add(box, map);
  }
  CHECK(largest_step(slopes.result()) < 0.06);
}

TEST_CASE("tiles: over the overlap the weight goes from one tile to the next by equal steps") {
  const Tiling tiling{32, 16};
  TileBlend blend(48, 20, tiling);
  REQUIRE(blend.boxes().size() == 2);
  for (const Box& box : blend.boxes()) blend.add(box, Tensor::full({box.height, box.width}, box.x > 0));
  const std::vector<float> values = blend.result().to_vector<float>();
  for (int i = 0; i < 16; ++i) CHECK(std::abs(values[16 + i] - (i + 0.5f) / 16) < 1e-6f);
  CHECK(values[15] == 0);
  CHECK(values[32] == 1);
}

TEST_CASE("tiles: the score of an image is that of its worst tile, wherever it is") {
  const auto model = small_model();
  const Predictor tiled(*model, {56, 0}, 2);
  std::vector<Image> tiles;
  for (const int64_t factor : {37, 11, 101}) {
    Image& tile = tiles.emplace_back(56, 56, 3);
    for (size_t i = 0; i < tile.pixels.size(); ++i) tile.pixels[i] = static_cast<uint8_t>(i * factor % 251);
  }
  std::vector<double> alone;
  for (const Image& tile : tiles) alone.push_back(tiled.predict(tile).score);
  const double worst = *std::max_element(alone.begin(), alone.end());
  REQUIRE(worst > 1.001 * std::accumulate(alone.begin(), alone.end(), 0.0) / 3);
  for (size_t first = 0; first < 3; ++first) {
    Image image(3 * 56, 56, 3);
    for (size_t i = 0; i < 3; ++i) {
      const Image& tile = tiles[(first + i) % 3];
      for (int64_t y = 0; y < 56; ++y)
        std::copy_n(tile.row(y), 56 * 3, image.at(static_cast<int64_t>(i) * 56, y));
    }
    CHECK(tiled.predict(image).score == doctest::Approx(worst).epsilon(1e-5));
  }
}

TEST_CASE("tiles: a tile is resized as a whole, without the crop of an image") {
  const SmallDetector small(Preset::paper);
  Image image(40, 20, 3);
  for (size_t i = 0; i < image.pixels.size(); ++i) image.pixels[i] = static_cast<uint8_t>(i * 37 % 251);
  Image right(20, 20, 3);
  for (int64_t y = 0; y < 20; ++y) std::copy_n(image.at(20, y), 20 * 3, right.row(y));
  ImageConfig whole = small.model->config().image;
  REQUIRE(whole.resize_h > whole.crop_h);
  whole.resize_h = whole.crop_h, whole.resize_w = whole.crop_w;
  const Tensor inputs = Predictor(*small.model, {20, 0}).inputs(image);
  REQUIRE(inputs.size(0) == 2);
  CHECK(inputs.select(0, 1).to_vector<float>() == preprocess(right, whole).to_vector<float>());
}

TEST_CASE("tiles: the map of a constant texture has no step where tiles meet") {
  const auto model = small_model();
  const Predictor tiled(*model, {64, 32}, 4);
  Image grey(256, 160, 3);
  std::fill(grey.pixels.begin(), grey.pixels.end(), uint8_t{120});
  const Prediction prediction = tiled.predict(grey);
  REQUIRE(prediction.map().shape() == Shape({160, 256}));
  // What one tile's own map does between neighbouring pixels is the measure.
  Image tile(64, 64, 3);
  std::fill(tile.pixels.begin(), tile.pixels.end(), uint8_t{120});
  const Prediction alone = tiled.predict(tile);
  const std::vector<float> values = alone.map().to_vector<float>();
  const auto [low, high] = std::minmax_element(values.begin(), values.end());
  REQUIRE(*high > *low);
  // Within the overlap of 32 pixels the blend may move by the whole range of a tile.
  CHECK(largest_step(prediction.map()) <= largest_step(alone.map()) + (*high - *low) / 32 + 1e-6);
  CHECK(prediction.score == doctest::Approx(alone.score).epsilon(1e-5));
  CHECK(prediction.inspected == Box{0, 0, 256, 160});
}

TEST_CASE("tiles: an image of one tile is judged as the tile") {
  const auto model = small_model();
  Image image(56, 56, 3);
  for (size_t i = 0; i < image.pixels.size(); ++i) image.pixels[i] = static_cast<uint8_t>(i * 37 % 251);
  const Prediction whole = Predictor(*model).predict(image);
  const Prediction tiled = Predictor(*model, {56, 0}).predict(image);
  CHECK(whole.map().shape() == Shape({56, 56}));
  CHECK(whole.score > 0);
  // The blur goes on beyond a tile's border with the mirror image, as the image does.
  NoGrad no_recording;
  Config config = model->config();
  REQUIRE_FALSE(config.blur_reflects);
  config.blur_reflects = true;
  const Features features = model->encode(preprocess(image, config.image).unsqueeze(0));
  const Tensor blurred = anomaly_maps(model->reconstruct(features), 56, 56, config).blurred;
  CHECK(relative_difference(tiled.map(), resize_map(blurred.select(0, 0), 56, 56)) < 1e-5);
  // The same but for the blur at the border.
  CHECK(tiled.map().to_vector<float>()[28 * 56 + 28] ==
        doctest::Approx(whole.map().to_vector<float>()[28 * 56 + 28]).epsilon(1e-4));
}

TEST_CASE(
    "predict: the map is the blurred one for paper and dinomaly2, the one before the blur for anomalib") {
  Image image(56, 56, 3);
  for (size_t i = 0; i < image.pixels.size(); ++i) image.pixels[i] = static_cast<uint8_t>(i * 37 % 251);
  for (const Preset preset : {Preset::paper, Preset::anomalib, Preset::dinomaly2}) {
    const auto model = small_model(56, preset);
    const Prediction prediction = Predictor(*model).predict(image);
    NoGrad no_recording;
    const Config& config = model->config();
    const Features features = model->encode(preprocess(image, config.image).unsqueeze(0));
    const AnomalyMaps maps = anomaly_maps(model->reconstruct(features), 56, 56, config);
    const auto in_image = [&](const Tensor& map) {
      return map_to_image(map.select(0, 0), 56, 56, config.image).to_vector<float>();
    };
    const std::vector<float> got = prediction.map().to_vector<float>();
    CHECK(got == in_image(preset != Preset::anomalib ? maps.blurred : maps.map));
    CHECK(got != in_image(preset != Preset::anomalib ? maps.map : maps.blurred));
    CHECK(prediction.score == maps.score.item());
  }
}

TEST_CASE("tiles: those that are not square cover the plane and blend without a trace") {
  TileBlend blend(50, 31, {20, 10}, {12, 6});
  CHECK(blend.boxes().size() == 4 * 5);
  CHECK(blend.boxes().back() == Box{30, 19, 20, 12});
  for (const Box& box : blend.boxes()) blend.add(box, Tensor::full({box.height, box.width}, 0.7));
  for (const float value : blend.result().to_vector<float>()) CHECK(std::abs(value - 0.7f) < 1e-6f);
}

TEST_CASE("tiles: sizes that make no sense") {
  CHECK(one_line_with(input_error([] { validate(Tiling{8, 0}); }), "--tile"));
  CHECK(one_line_with(input_error([] { validate(Tiling{64, 33}); }), "--overlap"));
  CHECK(one_line_with(input_error([] { validate(Tiling{0, 5}); }), "--overlap"));
  CHECK(one_line_with(input_error([] { validate(Tiling{-4, 0}); }), "--tile"));
  CHECK(input_error([] { validate(Tiling{}); }).empty());
  CHECK(one_line_with(input_error([] { tile_boxes(32768, 32768, {16, 8}); }), "tiles"));
}
