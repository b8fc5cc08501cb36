// Encoders for images of other numbers of channels than three.
#include "dinomaly/weights/input_channels.h"

#include <doctest/doctest.h>

#include "dinomaly/image/preprocess.h"
#include "dinomaly/model/detector_weights.h"
#include "dinomaly/model/model.h"
#include "dinomaly/weights/encoder_naming.h"
#include "tensor/io/safetensors.h"
#include "tests/dinomaly/tiny_encoder.h"
#include "tests/support.h"

namespace dinomaly {

namespace {

std::unique_ptr<Dinomaly> model_for(const EncoderWeights& weights, const std::vector<float>& mean = {}) {
  Config config;
  config.image.crop_h = config.image.crop_w = config.image.resize_h = config.image.resize_w = 28;
  config.image.mean = mean;
  config.image.std = std::vector<float>(mean.size(), 0.25f);
  auto model = std::make_unique<Dinomaly>(weights.config, config);
  load_encoder_weights(model->encoder(), weights, "encoder");
  return model;
}

const Tensor& patch_embedding(const EncoderWeights& weights) {
  for (const auto& [name, tensor] : weights.tensors) {
    if (name == "patch_embed.proj.weight") return tensor;
  }
  throw std::runtime_error("no patch embedding");
}

}  // namespace

TEST_CASE("input channels: of one the sum, of others the three repeated, times 3 / N") {
  const Tensor weight = Tensor::from(std::vector<float>{1, 2, 3, 10, 20, 40}, {2, 3, 1, 1});
  const auto values = [&](int64_t channels) {
    return inflated_patch_embedding(weight, channels).to_vector<float>();
  };
  CHECK(values(1) == std::vector<float>{6, 70});
  CHECK(values(2) == std::vector<float>{1.5f, 3, 15, 30});
  CHECK(values(3) == std::vector<float>{1, 2, 3, 10, 20, 40});
  CHECK(values(4) == std::vector<float>{0.75f, 1.5f, 2.25f, 0.75f, 7.5f, 15, 30, 7.5f});
  CHECK(values(6) == std::vector<float>{0.5f, 1, 1.5f, 0.5f, 1, 1.5f, 5, 10, 20, 5, 10, 20});
  CHECK(inflated_patch_embedding(weight, 16).shape() == Shape{2, 16, 1, 1});
  const Tensor half = inflated_patch_embedding(weight.to(Dtype::bf16), 2);
  CHECK(half.dtype() == Dtype::bf16);
  CHECK(half.to(Dtype::f32).to_vector<float>() == values(2));
  CHECK(inflated_patch_embedding(weight.to(Dtype::f64), 2).dtype() == Dtype::f64);
}

TEST_CASE("input channels: grey in one channel has the features of the same grey in three") {
  Image grey(28, 28, 1), three(28, 28, 3);
  for (size_t i = 0; i < grey.pixels.size(); ++i) {
    grey.pixels[i] = static_cast<uint8_t>(i * 37 % 251);
    std::fill_n(&three.pixels[3 * i], 3, grey.pixels[i]);
  }
  const EncoderWeights weights = tiny_encoder();
  const auto rgb = model_for(weights, {0.5f, 0.5f, 0.5f}),
             one = model_for(with_channels(weights, 1, "e"), {0.5f});
  CHECK(one->config().image.pixels.channels == 1);
  const auto features = [](const Dinomaly& model, const Image& image) {
    return model.encode(preprocess(image, model.config().image).unsqueeze(0))
        .bottleneck_input.to_vector<float>();
  };
  const std::vector<float> expected = features(*rgb, three), found = features(*one, grey);
  REQUIRE(found.size() == expected.size());
  for (size_t i = 0; i < found.size(); ++i) CHECK(found[i] == doctest::Approx(expected[i]).epsilon(1e-4));
}

TEST_CASE("input channels: an encoder that takes them already stays as it is, another is refused") {
  const EncoderWeights five = with_channels(tiny_encoder(), 5, "e");
  CHECK(five.config.channels == 5);
  CHECK(patch_embedding(five).shape() == Shape{32, 5, 14, 14});
  CHECK(patch_embedding(with_channels(five, 5, "e")).to_vector<float>() ==
        patch_embedding(five).to_vector<float>());
  CHECK(one_line_with(input_error([&] { with_channels(five, 4, "vit.pth"); }),
                      "vit.pth: the encoder takes images of 5 channels, not of 4"));
  CHECK(
      one_line_with(input_error([&] { with_channels(with_channels(tiny_encoder(), 1, "e"), 3, "vit.pth"); }),
                    "of 1 channel, not of 3"));
  CHECK(one_line_with(input_error([&] {
                        model_for(five)->encode(Tensor::zeros({1, 3, 28, 28}));
                      }),
                      "images of 5 channels and cannot judge images of 3"));
  CHECK(one_line_with(input_error([&] {
                        model_for(tiny_encoder())->encode(Tensor::zeros({1, 1, 28, 28}));
                      }),
                      "images of 3 channels and cannot judge images of 1"));
}

TEST_CASE("input channels: files keep them under every library's names; more than 16 are refused") {
  const TemporaryFolder folder;
  const EncoderWeights five = with_channels(tiny_encoder(), 5, "e");
  for (const Naming naming : {Naming::meta, Naming::timm, Naming::transformers}) {
    EncoderWeights whole = five;
    whole.unused = {{"norm.weight", Tensor::ones({32})},
                    {"norm.bias", Tensor::zeros({32})},
                    {"mask_token", Tensor::zeros({1, 32})}};
    save_safetensors(folder / "vit.safetensors", named_as(whole, naming));
    const EncoderWeights read = load_encoder(load_weights_file(folder / "vit.safetensors"), 2);
    CHECK(read.config.channels == 5);
    CHECK(patch_embedding(read).to_vector<float>() == patch_embedding(five).to_vector<float>());
  }
  NamedTensors tensors = five.tensors;
  for (auto& [name, tensor] : tensors) {
    if (name == "patch_embed.proj.weight") tensor = Tensor::zeros({32, 17, 14, 14});
  }
  save_safetensors(folder / "vit.safetensors", tensors);
  CHECK(one_line_with(input_error([&] { load_encoder(load_weights_file(folder / "vit.safetensors"), 2); }),
                      "vit.safetensors: patch_embed.proj.weight takes images of 17 channels; only 1 to 16"));
}

}  // namespace dinomaly
