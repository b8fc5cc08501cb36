// Scenes, their crops, and what is known of them.
#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <set>

#include "autograd/ops/ops.h"
#include "dinomaly/pretraining/crop_pairs.h"
#include "dinomaly/pretraining/photometric.h"
#include "dinomaly/pretraining/texture.h"
#include "dinomaly/pretraining/views.h"
#include "tensor/threads.h"
#include "tests/support.h"

namespace dinomaly {

namespace {

// Red grows with x, green with y: a pixel says where it is.
RenderedScene map_of_places(int64_t size) {
  RenderedScene scene{Image(size, size, 3), std::vector<uint8_t>(static_cast<size_t>(size * size))};
  for (int64_t y = 0; y < size; ++y) {
    for (int64_t x = 0; x < size; ++x) {
      scene.rgb.at(x, y)[0] = static_cast<uint8_t>(x);
      scene.rgb.at(x, y)[1] = static_cast<uint8_t>(y);
    }
  }
  return scene;
}

PretrainOptions small_options() {
  PretrainOptions options;
  options.crop = 32, options.scene = 72, options.pairs = 6, options.pool = 3;
  return options;
}

}  // namespace

TEST_CASE("pretraining: matched patches show the same point of the scene") {
  constexpr int64_t size = 240, crop = 96, patch = 16, side = crop / patch;
  const RenderedScene scene = map_of_places(size);
  Generator generator(7);
  int64_t matched = 0, pairs = 50;
  for (int64_t pair = 0; pair < pairs; ++pair) {
    const auto [first, second] = draw_views(size, crop, generator);
    const Tensor a = sample(scene, first, crop), b = sample(scene, second, crop);
    const std::vector<int64_t> matches = matching_patches(first, second, crop, patch);
    REQUIRE(matches.size() == side * side);
    for (int64_t i = 0; i < side * side; ++i) {
      if (matches[i] == no_match) continue;
      ++matched;
      // The place that a patch's centre shows, of the four pixels around it.
      const auto shown = [&](const Tensor& image, int64_t index, int64_t channel) {
        const int64_t x = index % side * patch + patch / 2, y = index / side * patch + patch / 2;
        return 255 *
               reduce(Reduce::mean, image.select(0, channel).slice(0, y - 1, y + 1).slice(1, x - 1, x + 1))
                   .item();
      };
      const Point centre = first.to_scene(
          {(static_cast<double>(i % side) + 0.5) * patch, (static_cast<double>(i / side) + 0.5) * patch});
      CHECK(std::abs(shown(a, i, 0) - (centre.x - 0.5)) < 0.02);
      CHECK(std::abs(shown(a, i, 1) - (centre.y - 0.5)) < 0.02);
      // Half a patch of the second crop on each axis, which may be turned.
      const double scale = std::hypot(second.xx, second.yx), most = scale * patch / std::sqrt(2.0) + 0.1;
      CHECK(std::hypot(shown(b, matches[i], 0) - centre.x + 0.5, shown(b, matches[i], 1) - centre.y + 0.5) <
            most);
    }
  }
  CHECK(matched > 0.4 * static_cast<double>(pairs * side * side));
}

TEST_CASE("pretraining: to_crop is the inverse of to_scene, and scenes that are too small are refused") {
  Generator generator(8);
  const View view = draw_views(100, 32, generator).first;
  const Point there = view.to_scene({3, 17}), back = view.to_crop(there);
  CHECK(back.x == doctest::Approx(3));
  CHECK(back.y == doctest::Approx(17));
  CHECK_THROWS_AS(draw_views(40, 32, generator), Error);
}

TEST_CASE("pretraining: every texture family gives values from 0 to 1 that its parameters change") {
  for (int family = 0; family < static_cast<int>(TextureFamily::count); ++family) {
    CAPTURE(family);
    std::set<double> means;
    for (uint64_t seed = 0; seed < 6; ++seed) {
      Generator generator(seed);
      const Field field = draw_field(static_cast<TextureFamily>(family), generator);
      double sum = 0;
      for (int i = 0; i < 400; ++i) {
        const double value = field({i % 20 / 20.0 - 0.5, i / 20 / 20.0 - 0.5});
        REQUIRE(value >= 0);
        REQUIRE(value <= 1);
        sum += value;
      }
      means.insert(sum);
    }
    CHECK(means.size() >= 5);
  }
}

TEST_CASE("pretraining: a scene belongs to its seed; crops do not depend on threads") {
  CHECK(draw_scene(64, 1).rgb == draw_scene(64, 1).rgb);
  CHECK(draw_scene(64, 1).rgb.pixels != draw_scene(64, 2).rgb.pixels);
  const PretrainOptions options = small_options();
  const int before = nabla::num_threads();
  std::vector<CropPairs> batches;
  for (const int threads : {1, 3}) {
    nabla::set_num_threads(threads);
    ScenePool pool(options.pool, options.scene, options.seed);
    if (threads == 3)
      pool.advance_to(4);  // one that ran before holds the same scenes as one that begins here
    pool.advance_to(7);
    batches.push_back(make_crop_pairs(options, pool, 5));
  }
  nabla::set_num_threads(before);
  CHECK(batches[0].crops.to_vector<float>() == batches[1].crops.to_vector<float>());
  CHECK(batches[0].first_to_second.to_vector<int64_t>() == batches[1].first_to_second.to_vector<int64_t>());
  CHECK(batches[0].hidden.to_vector<uint8_t>() == batches[1].hidden.to_vector<uint8_t>());
}

TEST_CASE("pretraining: a batch's labels name patches of the same pair, and hidden queries do not count") {
  PretrainOptions options = small_options();
  options.pairs = 40;
  ScenePool pool(options.pool, options.scene, options.seed);
  pool.advance_to(2);
  const CropPairs batch = make_crop_pairs(options, pool, 0);
  const int64_t patches = 4;
  int64_t counted = 0, hidden = 0;
  for (int64_t i = 0; i < options.pairs * patches; ++i) {
    const int64_t to = batch.first_to_second.data<int64_t>()[i];
    const bool is_hidden = batch.hidden.data<uint8_t>()[i] == 1;
    hidden += is_hidden;
    if (to == ignored_label) continue;
    ++counted;
    CHECK(to / patches == i / patches);
    CHECK_FALSE(is_hidden);
  }
  CHECK(counted > options.pairs);
  // One patch of four in about half of the crops.
  CHECK(hidden > options.pairs / 4);
  CHECK(hidden < options.pairs * 3 / 4);
  for (const int64_t family : batch.families.to_vector<int64_t>())
    CHECK(family < static_cast<int64_t>(TextureFamily::count));
}

TEST_CASE("pretraining: photometric changes do what their numbers say") {
  const auto image = [] {
    return Tensor::from<float>({0.2F, 0.4F, 0.4F, 0.6F, 0.1F, 0.3F, 0.5F, 0.7F, 0, 0.2F, 0.8F, 1}, {3, 2, 2});
  };
  const auto mean = [](const Tensor& x) { return reduce(Reduce::mean, x).item(); };
  Tensor x = image();
  change_contrast(x, 0.1, 2);
  CHECK(mean(x) == doctest::Approx(mean(image()) + 0.1));
  CHECK(x.data<float>()[3] - x.data<float>()[0] == doctest::Approx(0.8));
  x = image();
  change_gamma(x, 2);
  CHECK(x.data<float>()[1] == doctest::Approx(0.16));
  x = image();
  change_colours(x, 0, {1, 1, 2});
  CHECK(x.data<float>()[0] == doctest::Approx(0.299 * 0.2 + 0.587 * 0.1));
  CHECK(x.data<float>()[4] == x.data<float>()[0]);
  CHECK(x.data<float>()[8] == doctest::Approx(2 * x.data<float>()[0]));
  x = Tensor::full({3, 5, 5}, 0.5);
  blur(x, 1);
  CHECK(x.data<float>()[0] == doctest::Approx(0.5));
  x = Tensor::zeros({3, 41, 41});
  x.data<float>()[20 * 41 + 20] = 1;
  blur(x, 1.5);
  double variance = 0;
  for (int64_t i = 0; i < 41 * 41; ++i)
    variance += x.data<float>()[i] * static_cast<double>((i % 41 - 20) * (i % 41 - 20));
  CHECK(variance == doctest::Approx(1.5 * 1.5).epsilon(0.05));
  CHECK(mean(x) * 3 * 41 * 41 == doctest::Approx(1));
  x = Tensor::zeros({3, 100, 100});
  add_noise(x, 0.3, 9);
  CHECK(std::abs(mean(x)) < 0.01);
  CHECK(std::sqrt(mean(x * x)) == doctest::Approx(0.3).epsilon(0.02));
  CHECK_THROWS_AS(blur(Tensor::ones({1, 2, 2}), 1), Error);
}

}  // namespace dinomaly
