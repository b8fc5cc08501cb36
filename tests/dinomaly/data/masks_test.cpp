// Masks as the maps see them.
#include "dinomaly/data/masks.h"

#include <doctest/doctest.h>

#include <algorithm>

#include "dinomaly/base/files.h"
#include "dinomaly/base/framework.h"
#include "dinomaly/image/image.h"
#include "tests/dinomaly/image_writers.h"
#include "tests/support.h"

namespace dinomaly {

TEST_CASE("masks that hold labels count in full before they are resized") {
  const TemporaryFolder folder;
  ImageConfig config;
  config.resize_h = config.resize_w = config.crop_h = config.crop_w = 4;
  Image mask(8, 8, 1);
  for (int64_t y = 0; y < 8; ++y) *mask.at(3, y) = 1;
  save_png(folder / "mask.png", mask);
  Sample sample{.category = {},
                .defect = {},
                .id = {},
                .image = folder / "image.png",
                .mask = folder / "mask.png",
                .anomalous = true};
  // Of a column of 1, the halved mask would have 3/8 and 1/8 in two columns, which round to 0.
  const std::vector<uint8_t> marked = load_sample_mask(sample, 8, 8, config, 4).to_vector<uint8_t>();
  for (int64_t i = 0; i < 16; ++i) CHECK(marked[i] == (i % 4 == 1 || i % 4 == 2));
}

TEST_CASE("masks of pairs: more than half of a pixel counts after resizing, not anything") {
  const TemporaryFolder folder;
  ImageConfig config;
  config.resize_h = config.resize_w = config.crop_h = config.crop_w = 4;
  Image mask(8, 8, 1);
  for (int64_t y = 0; y < 8; ++y) *mask.at(3, y) = 255;
  save_png(folder / "mask.png", mask);
  Sample sample{.mask = folder / "mask.png", .anomalous = true, .grouping = Grouping::rgb_and_infrared};
  // Halved, the column is 3/8 of one pixel and 1/8 of the next.
  const auto none = load_sample_mask(sample, 8, 8, config, 4).to_vector<uint8_t>();
  CHECK(std::count(none.begin(), none.end(), uint8_t{1}) == 0);
  for (int64_t y = 0; y < 8; ++y) *mask.at(2, y) = 255;
  save_png(folder / "mask.png", mask);
  const auto marked = load_sample_mask(sample, 8, 8, config, 4).to_vector<uint8_t>();
  for (int64_t i = 0; i < 16; ++i) CHECK(marked[static_cast<size_t>(i)] == (i % 4 == 1));
}

TEST_CASE("masks: images and masks are checked as the model reads them; the first fault is named") {
  const TemporaryFolder folder;
  Image mask(2, 3, 1);
  mask.pixels[0] = 1;
  write_file(folder / "image.jpg", jpeg_with_exif(encode_jpeg(Image(3, 2, 3), 90), 6));
  save_png(folder / "mask.png", mask);
  save_png(folder / "empty.png", Image(2, 3, 1));
  Sample seen{.id = "a", .image = folder / "image.jpg", .mask = folder / "mask.png", .anomalous = true};
  CHECK(input_error([&] { verify_images({seen}); }).empty());
  const PixelRules as_stored{.exif_orientation = false, .bit_depth = 16};
  CHECK(one_line_with(input_error([&] { verify_images({seen}, as_stored); }), "mask.png: the mask is 2 x 3"));
  Sample unmarked = seen, gone = seen;
  unmarked.mask = folder / "empty.png", gone.image = folder / "gone.png";
  CHECK(one_line_with(input_error([&] {
                        verify_images({seen, unmarked, gone});
                      }),
                      "empty.png: the mask is empty"));
}

TEST_CASE("masks: the bit depth is the least even one that holds all samples of 16 bits") {
  const TemporaryFolder folder;
  const auto sample = [&](const std::string& name) { return Sample{.image = folder / name}; };
  const auto deep = [&](const std::string& name, uint16_t value) {
    write_tiff(folder / name, {.bits = 16}, {bytes_of(std::vector<uint16_t>{value})});
    return sample(name);
  };
  save_png(folder / "plain.png", Image(2, 2, 3));
  write_file(folder / "deep.png", png(1, 1, 16, 0, std::string("\0\x03\xFF", 3)));
  CHECK(measured_bit_depth({}) == 16);
  CHECK(measured_bit_depth({sample("plain.png"), sample("missing.png")}) == 16);
  CHECK(measured_bit_depth({sample("plain.png"), sample("deep.png")}) == 10);
  CHECK(measured_bit_depth({sample("deep.png"), deep("a.tif", 4095)}) == 12);
  CHECK(measured_bit_depth({deep("b.tif", 4096), sample("deep.png")}) == 14);
  CHECK(measured_bit_depth({deep("c.tif", 16384)}) == 16);
  CHECK(measured_bit_depth({deep("d.tif", 255)}) == 8);
  // The brightest pixel decides, wherever it is.
  write_tiff(folder / "f.tif", {.width = 1, .height = 2, .bits = 16},
             {bytes_of(std::vector<uint16_t>{100, 4095})});
  CHECK(measured_bit_depth({sample("f.tif"), sample("deep.png")}) == 12);
  write_tiff(folder / "e.tif", {.bits = 12}, {"\x01\x00"});  // says so itself
  CHECK(measured_bit_depth({sample("e.tif")}) == 16);
}

}  // namespace dinomaly
