// Images decoded ahead by a thread. The suite "threads" is what scripts/test.sh runs under ThreadSanitizer.
#include <doctest/doctest.h>

#include <algorithm>
#include <fstream>

#include "dinomaly/base/framework.h"
#include "dinomaly/data/loader.h"
#include "dinomaly/image/image.h"
#include "tests/support.h"

namespace dinomaly {
namespace {

ImageConfig tiny() {
  ImageConfig config;
  config.resize_h = config.resize_w = config.crop_h = config.crop_w = 8;
  config.mean = {0, 0, 0};
  config.std = {1, 1, 1};
  return config;
}

// Image i is grey of value 10 i.
std::vector<Sample> grey_images(const TemporaryFolder& folder, int count) {
  std::vector<Sample> samples(static_cast<size_t>(count));
  for (int i = 0; i < count; ++i) {
    Image image(8, 8, 3);
    std::fill(image.pixels.begin(), image.pixels.end(), static_cast<uint8_t>(10 * i));
    samples[static_cast<size_t>(i)].image = folder / fmt::format("{}.png", i);
    save_png(samples[static_cast<size_t>(i)].image, image);
  }
  return samples;
}

}  // namespace

TEST_SUITE_BEGIN("threads");

TEST_CASE("loader: batches in order, the last one smaller, and none after it") {
  const TemporaryFolder folder;
  const std::vector<Sample> samples = grey_images(folder, 7);
  ImageLoader loader(samples, tiny(), 3);
  int seen = 0;
  for (const int64_t size : {3, 3, 1}) {
    CHECK_FALSE(loader.done());
    const Tensor batch = loader.next();
    CHECK(batch.shape() == Shape{size, 3, 8, 8});
    for (int64_t i = 0; i < size; ++i, ++seen) {
      const std::vector<float> values = batch.select(0, i).contiguous().to_vector<float>();
      CHECK(values.front() == doctest::Approx(seen * 10 / 255.0));
      CHECK(values.back() == doctest::Approx(seen * 10 / 255.0));
    }
  }
  CHECK(loader.done());
  CHECK_THROWS_AS(loader.next(), Error);
}

TEST_CASE("loader: a damaged image is reported by its own batch, and a loader may be dropped at any time") {
  const TemporaryFolder folder;
  const std::vector<Sample> samples = grey_images(folder, 6);
  std::ofstream(samples[3].image) << "no image";
  ImageLoader loader(samples, tiny(), 2);
  CHECK(loader.next().size(0) == 2);
  CHECK(one_line_with(input_error([&] { loader.next(); }), "3.png"));
  for (int taken = 0; taken < 3; ++taken) {
    const std::vector<Sample> good = {samples[0], samples[1], samples[2]};
    ImageLoader abandoned(good, tiny(), 1);
    for (int i = 0; i < taken; ++i) abandoned.next();
  }
  CHECK(ImageLoader(std::vector<Sample>(), tiny(), 2).done());
}

TEST_SUITE_END();

}  // namespace dinomaly
