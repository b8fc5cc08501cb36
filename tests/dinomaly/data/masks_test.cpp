// Masks as the maps see them.
#include "dinomaly/data/masks.h"

#include <doctest/doctest.h>

#include "dinomaly/base/framework.h"
#include "dinomaly/image/image.h"
#include "tests/support.h"

namespace dinomaly {

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
  // Of a column of 1, the halved mask has 3/8 and 1/8 in two columns: as grey values they round to 0.
  CHECK(load_sample_mask(sample, 8, 8, config, 4).to_vector<uint8_t>() == std::vector<uint8_t>(16, 0));
  sample.label_mask = true;
  const std::vector<uint8_t> marked = load_sample_mask(sample, 8, 8, config, 4).to_vector<uint8_t>();
  for (int64_t i = 0; i < 16; ++i) CHECK(marked[i] == (i % 4 == 1 || i % 4 == 2));
}

}  // namespace dinomaly
