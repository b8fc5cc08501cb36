// Images with depth: a target feature is the mean of those of the image and of the depth picture.
#include <doctest/doctest.h>

#include "dinomaly/base/framework.h"
#include "dinomaly/model/model.h"
#include "tensor/ops.h"
#include "tensor/random.h"
#include "tests/dinomaly/small_model.h"
#include "tests/support.h"

namespace dinomaly {

namespace {

std::unique_ptr<Dinomaly> model_with_depth(bool with_depth) {
  const EncoderWeights weights = tiny_encoder();
  Config config;
  config.with_depth = with_depth;
  config.image.crop_h = config.image.crop_w = config.image.resize_h = config.image.resize_w = 56;
  auto model = std::make_unique<Dinomaly>(weights.config, config);
  load_encoder_weights(model->encoder(), weights, "random encoder");
  return model;
}

Tensor random_images(int64_t count, int64_t channels) {
  Generator generator(4);
  std::vector<float> values(static_cast<size_t>(count * channels * 56 * 56));
  for (float& value : values) value = static_cast<float>(generator.uniform() - 0.5);
  return Tensor::from(values, {count, channels, 56, 56});
}

void check_mean(const Tensor& mean, const Tensor& a, const Tensor& b) {
  const std::vector<float> means = mean.to_vector<float>(), of_a = a.to_vector<float>(),
                           of_b = b.to_vector<float>();
  REQUIRE(means.size() == of_a.size());
  float largest = 0;
  for (size_t i = 0; i < means.size(); ++i)
    largest = std::max(largest, std::abs(means[i] - 0.5f * of_a[i] - 0.5f * of_b[i]));
  CHECK(largest < 1e-5f);
}

}  // namespace

TEST_CASE("depth: features of an image with depth are the means of both images' features") {
  const Tensor both = random_images(3, 6);
  const Features features = model_with_depth(true)->encode(both);
  const auto alone = model_with_depth(false);
  const Features rgb = alone->encode(both.slice(1, 0, 3).contiguous());
  const Features depth = alone->encode(both.slice(1, 3, 6).contiguous());
  check_mean(features.bottleneck_input, rgb.bottleneck_input, depth.bottleneck_input);
  REQUIRE(features.encoded.size() == 2);
  for (size_t g = 0; g < 2; ++g) check_mean(features.encoded[g], rgb.encoded[g], depth.encoded[g]);
}

TEST_CASE("depth: images without depth do not fit a model that knows it, nor the other way round") {
  CHECK(one_line_with(input_error([] { model_with_depth(true)->encode(random_images(1, 3)); }),
                      "with their depth"));
  CHECK(one_line_with(input_error([] { model_with_depth(false)->encode(random_images(1, 6)); }),
                      "images alone"));
}

}  // namespace dinomaly
