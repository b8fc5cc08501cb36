// SPEC "Encoder" and "Model": what goes where. The numbers themselves are compared with both published
// implementations by reference_check.
#include "dinomaly/model/model.h"

#include <doctest/doctest.h>

#include <cmath>
#include <limits>

#include "autograd/ops/ops.h"
#include "dinomaly/base/framework.h"
#include "tensor/elementwise.h"
#include "tensor/ops.h"
#include "tests/dinomaly/model/model_parts.h"
#include "tests/support.h"

namespace dinomaly {

TEST_CASE(
    "model: the bottleneck gets the mean of the eight features with all tokens; groups keep the patches") {
  Small small;
  small.encoder.registers = 2;
  const auto model = small.build();
  const Tensor images = random_pixels(8, 16);  // 2 x 4 patches
  const std::vector<Tensor> blocks = block_outputs(*model, images, {2, 3, 4, 5, 6, 7, 8, 9});
  const Features features = model->encode(images);
  Tensor mean = blocks[0];
  for (size_t i = 1; i < 8; ++i) mean = mean + blocks[i];
  CHECK(difference(features.bottleneck_input, mean * 0.125) < 1e-13);
  CHECK(features.rows == 2);
  CHECK(features.columns == 4);
  REQUIRE(features.encoded.size() == 2);
  for (size_t g = 0; g < 2; ++g) {
    const Tensor sum = blocks[4 * g] + blocks[4 * g + 1] + blocks[4 * g + 2] + blocks[4 * g + 3];
    CHECK(difference(features.encoded[g], (sum * 0.25).slice(1, 3, 11)) < 1e-13);
  }
}

TEST_CASE(
    "model: decoder outputs are reversed before they are grouped, and prefix tokens dropped after fusing") {
  Small small;
  small.encoder.registers = 2;
  small.config.dropout = 0;
  const auto model = small.build();
  model->eval();
  // Block i adds i + 1 to every value: outputs are x + 1, x + 3, x + 6, ..., x + 36.
  for (int64_t i = 0; i < 8; ++i) {
    const std::string block = fmt::format("decoder.{}.", i);
    for (const char* name : {"attn.proj.weight", "attn.proj.bias", "mlp.fc2.weight"})
      fill(*model, block + name, 0);
    fill(*model, block + "mlp.fc2.bias", static_cast<double>(i + 1));
  }
  fill(*model, "bottleneck.0.fc2.weight", 0);
  fill(*model, "bottleneck.0.fc2.bias", 0);
  Generator unused;
  const Reconstruction result = model->reconstruct(model->encode(random_pixels(8, 16)), unused);
  REQUIRE(result.decoded.size() == 2);
  CHECK(result.decoded[0].shape() == Shape{2, 8, 16});
  // The first group of the encoder (blocks 2-5) faces the last four decoder blocks.
  CHECK(result.decoded[0].value().to_vector<double>()[7] == doctest::Approx((36 + 28 + 21 + 15) / 4.0));
  CHECK(result.decoded[1].value().to_vector<double>()[7] == doctest::Approx((10 + 6 + 3 + 1) / 4.0));
}

TEST_CASE("model: biases as the preset has them, no LayerScale and no positions in the decoder") {
  Small small;
  const auto names = [](const Dinomaly& model) {
    std::string all;
    for (auto& [name, parameter] : model.named_trained_parameters()) all += name + " ";
    return all;
  };
  const std::string paper = names(*small.build());
  small.config = [&] {
    Config config = Config::with_preset(Preset::anomalib);
    config.image = small.config.image;
    return config;
  }();
  const std::string anomalib = names(*small.build());
  for (const char* bias : {"bottleneck.0.fc1.bias", "bottleneck.0.fc2.bias", "decoder.7.mlp.fc1.bias",
                           "decoder.0.mlp.fc2.bias"}) {
    CHECK(paper.find(bias) != std::string::npos);
    CHECK(anomalib.find(bias) == std::string::npos);
  }
  for (const std::string& all : {paper, anomalib}) {
    CHECK(all.find("decoder.3.attn.qkv.bias") != std::string::npos);
    CHECK(all.find("decoder.3.attn.proj.bias") != std::string::npos);
    CHECK(all.find("ls1") == std::string::npos);
    CHECK(all.find("pos_embed") == std::string::npos);
    CHECK(all.find("decoder.8") == std::string::npos);
  }
}

TEST_CASE("model: dropout acts three times in the bottleneck, with one p, while training only") {
  Small small;
  small.config.dropout = 0.4;
  const auto model = small.build();
  const Features features = model->encode(random_pixels(16, 16));
  Generator generator(7);
  const auto decoded = [&] { return model->reconstruct(features, generator).decoded[0].value(); };
  model->eval();
  const Tensor still = decoded();
  CHECK(difference(decoded(), still) == 0);
  CHECK(generator.offset() == 0);
  model->train();
  decoded();
  // A block of Philox gives four numbers: one for each element dropped from, of x, hidden layer and output.
  const uint64_t tokens = 2 * 17;
  CHECK(generator.offset() == tokens * (16 + 64 + 16) / 4);
  // The last dropout leaves zeros behind; with nothing after the bottleneck its rate shows in the output.
  for (int64_t i = 0; i < 8; ++i) {
    const std::string block = fmt::format("decoder.{}.", i);
    for (const char* name : {"attn.proj.weight", "attn.proj.bias", "mlp.fc2.weight", "mlp.fc2.bias"})
      fill(*model, block + name, 0);
  }
  const auto values = decoded().to_vector<double>();
  const double zeros =
      static_cast<double>(std::count(values.begin(), values.end(), 0.0)) / static_cast<double>(values.size());
  CHECK(zeros == doctest::Approx(0.4).epsilon(0.2));
}

TEST_CASE("model: remove_class_token and context recentering change what goes in, and cannot go together") {
  Small small;
  small.encoder.registers = 1;
  small.config.remove_class_token = true;
  const Tensor images = random_pixels(8, 16);
  const auto patches_only = small.build();
  const std::vector<Tensor> blocks = block_outputs(*patches_only, images, {2, 3, 4, 5, 6, 7, 8, 9});
  Tensor mean = blocks[0], recentred = blocks[0] - blocks[0].slice(1, 0, 1);
  for (size_t i = 1; i < 8; ++i) {
    mean = mean + blocks[i];
    recentred = recentred + (blocks[i] - blocks[i].slice(1, 0, 1));
  }
  CHECK(difference(patches_only->encode(images).bottleneck_input, (mean * 0.125).slice(1, 2, 10)) < 1e-13);
  small.config.remove_class_token = false;
  small.config.recentering = Recentering::anomalib;
  const auto model = small.build();
  CHECK(difference(model->encode(images).bottleneck_input, (recentred * 0.125).slice(1, 2, 10)) < 1e-13);
  Generator unused;
  CHECK(model->reconstruct(model->encode(images), unused).decoded[1].shape() == Shape{2, 8, 16});
  small.config.remove_class_token = true;
  CHECK(one_line_with(input_error([&] { small.build(); }), "recentering anomalib needs the class token"));
}

TEST_CASE("model: initial weights are a truncated normal, biases 0, norms 1 and 0; the seed decides") {
  Small small;
  small.config.init_std = 0.01, small.config.init_cut = 0.03;
  const auto model = small.build();
  double squares = 0, count = 0;
  for (auto& [name, parameter] : model->named_trained_parameters()) {
    CAPTURE(name);
    const auto values = parameter.value().to_vector<double>();
    if (parameter.shape().rank() == 2) {
      for (double value : values) {
        squares += value * value;
        CHECK(std::abs(value) <= 0.03);
      }
      count += static_cast<double>(values.size());
    } else {
      const double expected = name.ends_with("weight") ? 1 : 0;
      for (double value : values) CHECK(value == expected);
    }
  }
  CHECK(std::sqrt(squares / count) == doctest::Approx(0.01 * 0.9867).epsilon(0.02));  // cut at 3 sigma
  const auto first = [](const Dinomaly& m) {
    return named(m, "decoder.0.mlp.fc1.weight").value().to_vector<double>();
  };
  CHECK(first(*small.build()) == first(*model));
  small.config.seed = 2;
  CHECK(first(*small.build()) != first(*model));
}

TEST_CASE("model: an encoder of SwiGLU, without LayerScale, with any number of registers") {
  Small small;
  small.encoder.ffn = EncoderConfig::Ffn::swiglu_fused;
  small.encoder.registers = 3;
  small.encoder.cls_in_position_table = false;
  const auto model = small.build();
  Generator unused;
  CHECK(model->reconstruct(model->encode(random_pixels(12, 20)), unused).decoded[0].shape() ==
        Shape{2, 15, 16});
}

}  // namespace dinomaly
