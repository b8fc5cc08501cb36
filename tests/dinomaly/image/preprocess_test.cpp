#include "dinomaly/image/preprocess.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <nlohmann/json.hpp>

#include "dinomaly/base/framework.h"
#include "dinomaly/image/resize.h"
#include "resize_expected.h"
#include "tensor/io/safetensors.h"
#include "tests/support.h"

namespace dinomaly {

namespace {

// The same bytes as test_image() of make_resize_expected.py.
Image test_image(uint64_t seed, int64_t width, int64_t height, int64_t channels) {
  Image image(width, height, channels);
  uint64_t state = seed;
  for (uint8_t& byte : image.pixels) {
    state = state * 6364136223846793005u + 1442695040888963407u;
    byte = static_cast<uint8_t>(state >> 56);
  }
  return image;
}

uint64_t fnv(const std::vector<uint8_t>& bytes) {
  uint64_t value = 0xCBF29CE484222325u;
  for (uint8_t byte : bytes) value = (value ^ byte) * 0x100000001B3u;
  return value;
}

ResizeWindow whole(int64_t height, int64_t width) {
  return {.resize_h = height, .resize_w = width, .top = 0, .left = 0, .crop_h = height, .crop_w = width};
}

ImageConfig square(int64_t resize, int64_t crop, ImagePipeline pipeline = ImagePipeline::pil) {
  ImageConfig config;
  config.resize_h = config.resize_w = resize;
  config.crop_h = config.crop_w = crop;
  config.pipeline = pipeline;
  return config;
}

bool equal_bits(const Tensor& a, const Tensor& b) {
  return a.shape() == b.shape() && a.dtype() == b.dtype() &&
         std::memcmp(a.contiguous().raw_data(), b.contiguous().raw_data(), a.bytes()) == 0;
}

double relative_error(const Tensor& actual, const Tensor& expected) {
  REQUIRE(actual.shape() == expected.shape());
  const std::vector<double> a = actual.to_vector<double>(), b = expected.to_vector<double>();
  double difference = 0, norm = 0;
  for (size_t i = 0; i < a.size(); ++i) {
    difference += (a[i] - b[i]) * (a[i] - b[i]);
    norm += b[i] * b[i];
  }
  return std::sqrt(difference / norm);
}

Image to_image(const Tensor& tensor) {
  Image image(tensor.size(1), tensor.size(0), tensor.rank() == 3 ? tensor.size(2) : 1);
  image.pixels = tensor.to_vector<uint8_t>();
  return image;
}

}  // namespace

TEST_CASE("resize_pil: PIL's bytes, up and down, grey and RGB") {
  uint64_t seed = 0;
  for (const ResizeHash& item : resize_hashes) {
    ++seed;
    CAPTURE(seed);
    const Image image = test_image(seed, item.width, item.height, item.channels);
    const Image resized = resize_pil(image, whole(item.resized_height, item.resized_width));
    CHECK(fnv(resized.pixels) == item.hash);
  }
}

TEST_CASE("resize: a window is a part of the whole; the own size changes nothing") {
  const Image image = test_image(5, 53, 71, 3);
  const ResizeWindow window{.resize_h = 40, .resize_w = 60, .top = 7, .left = 11, .crop_h = 20, .crop_w = 31};
  const Image all = resize_pil(image, whole(40, 60)), part = resize_pil(image, window);
  const std::vector<float> all_floats = resize_torch(image, whole(40, 60)),
                           part_floats = resize_torch(image, window);
  for (int64_t y = 0; y < window.crop_h; ++y) {
    for (int64_t i = 0; i < window.crop_w * 3; ++i) {
      CHECK(part.row(y)[i] == all.at(window.left, window.top + y)[i]);
      CHECK(part_floats[y * window.crop_w * 3 + i] ==
            all_floats[((window.top + y) * 60 + window.left) * 3 + i]);
    }
  }
  CHECK(resize_pil(image, whole(71, 53)) == image);
}

TEST_CASE("resize_torch: torchvision's values") {
  const std::vector<float> resized = resize_torch(test_image(99, 7, 9, 1), whole(4, 6));
  REQUIRE(resized.size() == std::size(torch_resized));
  for (size_t i = 0; i < resized.size(); ++i) CHECK(std::abs(resized[i] - torch_resized[i]) < 1e-6f);
}

TEST_CASE("preprocess: a constant image gives (v / 255 - mean) / std in either pipeline") {
  Image image(9, 5, 3);
  for (size_t i = 0; i < image.pixels.size(); ++i) image.pixels[i] = static_cast<uint8_t>(i % 3 * 100 + 7);
  ImageConfig config;
  config.resize_h = 6, config.resize_w = 8, config.crop_h = 4, config.crop_w = 2;
  for (ImagePipeline pipeline : {ImagePipeline::pil, ImagePipeline::torchvision}) {
    config.pipeline = pipeline;
    const Tensor result = preprocess(image, config);
    REQUIRE(result.shape() == Shape{3, 4, 2});
    const std::vector<float> values = result.to_vector<float>();
    for (size_t i = 0; i < values.size(); ++i) {
      const size_t c = i / 8;
      const float expected = (static_cast<float>(c * 100 + 7) / 255.0f - config.mean[c]) / config.std[c];
      if (pipeline == ImagePipeline::pil)
        CHECK(values[i] == expected);  // bit for bit
      else
        CHECK(values[i] == doctest::Approx(expected).epsilon(1e-6));
    }
  }
}

TEST_CASE("preprocess: the crop's offset rounds halves to even") {
  CHECK(centre_crop_offset(448, 392) == 28);
  CHECK(centre_crop_offset(10, 9) == 0);  // 0.5
  CHECK(centre_crop_offset(10, 7) == 2);  // 1.5
  CHECK(centre_crop_offset(10, 5) == 2);  // 2.5
  CHECK(centre_crop_offset(10, 10) == 0);
}

TEST_CASE("preprocess: rows and columns are kept apart, of images as of masks") {
  // Of its own size already, so that only the crop is seen: pixel (y, x) has the value 16 y + x.
  Image image(14, 10, 3), mask(14, 10, 1);
  for (int64_t y = 0; y < 10; ++y) {
    for (int64_t x = 0; x < 14; ++x) {
      std::fill_n(image.at(x, y), 3, static_cast<uint8_t>(16 * y + x));
      *mask.at(x, y) = x == 9 || y == 4;
    }
  }
  ImageConfig config;
  config.resize_h = 10, config.resize_w = 14, config.crop_h = 4, config.crop_w = 10;
  config.mean = {0, 0, 0}, config.std = {1, 1, 1};
  for (ImagePipeline pipeline : {ImagePipeline::pil, ImagePipeline::torchvision}) {
    config.pipeline = pipeline;
    const Tensor cropped = preprocess(image, config);
    REQUIRE(cropped.shape() == Shape{3, 4, 10});
    const std::vector<float> values = cropped.to_vector<float>();
    for (int64_t i = 0; i < 3 * 40; ++i) {
      const int64_t row = 3 + i / 10 % 4, column = 2 + i % 10;
      CHECK(values[i] == static_cast<float>(16 * row + column) / 255.0f);
    }
  }
  const std::vector<uint8_t> marks = preprocess_mask(mask, config, 8).to_vector<uint8_t>();
  for (int64_t i = 0; i < 64; ++i) CHECK(marks[i] == (i % 8 == 6 || i / 16 == 1));
}

TEST_CASE("preprocess_mask: nearest to the map's size, anything above 0 counts") {
  Image mask(8, 8, 1);
  *mask.at(5, 2) = 1;
  const Tensor marks = preprocess_mask(mask, square(8, 4), 16);  // the crop begins at 2
  REQUIRE(marks.shape() == Shape{16, 16});
  const std::vector<uint8_t> values = marks.to_vector<uint8_t>();
  for (int64_t y = 0; y < 16; ++y) {
    for (int64_t x = 0; x < 16; ++x) CHECK(values[y * 16 + x] == (y / 4 == 0 && x / 4 == 3));
  }
  // 5 -> 3: places 0, 1, 3.
  const std::vector<uint8_t> fewer = preprocess_mask(Image(5, 5, 1), square(5, 5), 3).to_vector<uint8_t>();
  CHECK(fewer == std::vector<uint8_t>(9, 0));
  Image columns(5, 1, 1);
  columns.pixels = {0, 9, 0, 255, 0};
  CHECK(preprocess_mask(columns, square(5, 5), 3).to_vector<uint8_t>() ==
        std::vector<uint8_t>{0, 1, 1, 0, 1, 1, 0, 1, 1});
}

TEST_CASE("preprocess: impossible settings are one clear line") {
  const auto message = [](const ImageConfig& config) { return input_error([&] { validate(config); }); };
  CHECK(message(square(256, 224)).empty());
  CHECK(one_line_with(message(square(224, 256)), "does not fit"));
  CHECK(one_line_with(message(square(0, 0)), "resize"));
  CHECK(one_line_with(message(square(256, 0)), "crop"));
  CHECK(one_line_with(message(square(256, -14)), "crop"));
  CHECK(one_line_with(message(square(int64_t{1} << 40, 224)), "resize"));
  ImageConfig config = square(256, 224);
  config.std[1] = 0;
  CHECK(one_line_with(message(config), "std"));
  config = square(256, 224);
  config.mean[2] = std::numeric_limits<float>::quiet_NaN();
  CHECK(one_line_with(message(config), "mean"));
  CHECK_THROWS_AS(preprocess(Image(4, 4, 1), square(8, 8)), Error);
  CHECK_THROWS_AS(preprocess_mask(Image(4, 4, 3), square(8, 8)), Error);
}

TEST_CASE("preprocess: the published implementations' images") {
  const auto shared = shared_folder();
  if (!shared) return skip("no reference bundles: images");
  const std::filesystem::path path = *shared / "reference/images.safetensors";
  const SafeTensors bundle = SafeTensors::load(path);
  const nlohmann::json items = nlohmann::json::parse(bundle.metadata().at("config"))["items"];
  for (size_t n = 0; n < items.size(); ++n) {
    CAPTURE(n);
    const std::string prefix = std::to_string(n);
    const int64_t resize = items[n]["resize"], crop = items[n]["crop"];
    const Image image = to_image(bundle.get(prefix + "/image")),
                mask = to_image(bundle.get(prefix + "/mask"));
    CHECK(equal_bits(preprocess(image, square(resize, crop)), bundle.get(prefix + "/expect/paper")));
    CHECK(relative_error(preprocess(image, square(resize, crop, ImagePipeline::torchvision)),
                         bundle.get(prefix + "/expect/anomalib")) < 1e-6);
    CHECK(equal_bits(preprocess_mask(mask, square(resize, crop)), bundle.get(prefix + "/expect/mask")));
  }
}

}  // namespace dinomaly
