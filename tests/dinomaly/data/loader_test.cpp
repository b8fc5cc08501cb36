// SPEC "Optimisation" 3 and the loading of batches.
#include "dinomaly/data/loader.h"

#include <doctest/doctest.h>

#include <set>

#include "dinomaly/base/files.h"
#include "dinomaly/base/framework.h"
#include "dinomaly/image/image.h"
#include "dinomaly/training/sampler.h"
#include "tests/support.h"

namespace dinomaly {

TEST_CASE("sampler: every epoch is a new order of all indices, the last partial batch is dropped") {
  ShuffledSampler sampler(10, 4, 1);
  std::vector<std::vector<int64_t>> epochs;
  for (int epoch = 0; epoch < 20; ++epoch) {
    std::vector<int64_t> seen = sampler.next();
    const std::vector<int64_t> second = sampler.next();
    seen.insert(seen.end(), second.begin(), second.end());
    CHECK(std::set<int64_t>(seen.begin(), seen.end()).size() == 8);  // none twice; two are dropped
    for (int64_t index : seen) CHECK((index >= 0 && index < 10));
    epochs.push_back(seen);
  }
  CHECK(std::set<std::vector<int64_t>>(epochs.begin(), epochs.end()).size() == 20);
  std::vector<int> count(10);
  for (const auto& epoch : epochs) {
    for (int64_t index : epoch) ++count[static_cast<size_t>(index)];
  }
  for (int times : count) CHECK(times >= 8);  // 16 expected of 20
}

TEST_CASE("sampler: the seed decides; a batch larger than the data is refused") {
  ShuffledSampler a(50, 5, 3), b(50, 5, 3), c(50, 5, 4);
  const auto first = a.next();
  CHECK(first == b.next());
  CHECK(first != c.next());
  CHECK(one_line_with(input_error([] { ShuffledSampler(4, 5, 1); }),
                      "5 images per batch, but there are only 4"));
}

TEST_CASE("loader: batches in order, the last one smaller; a damaged image is named when its batch is due") {
  const TemporaryFolder folder;
  ImageConfig config;
  config.resize_h = config.resize_w = config.crop_h = config.crop_w = 8;
  config.mean = {0, 0, 0}, config.std = {1, 1, 1};
  std::vector<Sample> samples;
  for (int i = 0; i < 5; ++i) {
    Image image(8, 8, 3);
    for (uint8_t& value : image.pixels) value = static_cast<uint8_t>(51 * i);
    save_png(folder / fmt::format("{}.png", i), image);
    samples.emplace_back().image = folder / fmt::format("{}.png", i);
  }
  ImageLoader loader(samples, config, 2);
  std::vector<float> seen;
  std::vector<int64_t> sizes;
  while (!loader.done()) {
    const Tensor batch = loader.next();
    sizes.push_back(batch.size(0));
    for (int64_t i = 0; i < batch.size(0); ++i)
      seen.push_back(batch.select(0, i).contiguous().to_vector<float>()[100]);
  }
  CHECK(sizes == std::vector<int64_t>{2, 2, 1});
  for (size_t i = 0; i < 5; ++i) CHECK(seen[i] == static_cast<float>(51 * i) / 255.0f);

  write_file(folder / "3.png", "no image");
  ImageLoader damaged(samples, config, 2);
  CHECK(damaged.next().size(0) == 2);
  CHECK(one_line_with(input_error([&] { damaged.next(); }), "3.png"));
}

TEST_CASE("masks that hold labels count in full before they are resized, grey ones by their shade") {
  const TemporaryFolder folder;
  ImageConfig config;
  config.resize_h = config.resize_w = config.crop_h = config.crop_w = 4;
  Image mask(8, 8, 1);
  for (int64_t y = 0; y < 8; ++y) *mask.at(3, y) = 1;
  save_png(folder / "image.png", Image(8, 8, 3));
  save_png(folder / "mask.png", mask);
  Sample sample{.category = {},
                .defect = {},
                .id = {},
                .image = folder / "image.png",
                .mask = folder / "mask.png",
                .anomalous = true};
  // The halved mask of a column of 1 has 3/8 and 1/8 in two columns: as grey values they round to 0.
  CHECK(load_sample_mask(sample, config, 4).to_vector<uint8_t>() == std::vector<uint8_t>(16, 0));
  sample.label_mask = true;
  const std::vector<uint8_t> marked = load_sample_mask(sample, config, 4).to_vector<uint8_t>();
  for (int64_t i = 0; i < 16; ++i) CHECK(marked[i] == (i % 4 == 1 || i % 4 == 2));
}

}  // namespace dinomaly
