// SPEC "Encoder": tokens, positions, and which blocks are run.
#include "dinomaly/model/encoder.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>

#include "tests/dinomaly/model/model_parts.h"

namespace dinomaly {

TEST_CASE(
    "encoder: tokens are CLS, registers, patches row by row; positions are added before registers come in") {
  Small small;
  small.encoder.registers = 4;
  const auto model = small.build();
  // A block that adds nothing shows its input: both projections are 0.
  for (const char* name : {"encoder.blocks.0.attn.proj.weight", "encoder.blocks.0.attn.proj.bias",
                           "encoder.blocks.0.mlp.fc2.weight", "encoder.blocks.0.mlp.fc2.bias"}) {
    fill(*model, name, 0);
  }
  const Tensor images = random_pixels(12, 12, 1);  // the table's own 3 x 3: taken as it is
  const Tensor tokens = block_outputs(*model, images, {0})[0];
  REQUIRE(tokens.shape() == Shape{1, 1 + 4 + 9, 16});
  const Tensor table = named(*model, "encoder.pos_embed").value();
  CHECK(difference(tokens.slice(1, 0, 1), named(*model, "encoder.cls_token").value() + table.slice(1, 0, 1)) <
        1e-14);
  CHECK(difference(tokens.slice(1, 1, 5), named(*model, "encoder.register_tokens").value()) < 1e-14);
  const Tensor weight = named(*model, "encoder.patch_embed.proj.weight").value().reshape({16, 48});
  const Tensor bias = named(*model, "encoder.patch_embed.proj.bias").value();
  for (int64_t patch : {0, 1, 5, 8}) {
    const int64_t row = patch / 3, column = patch % 3;
    const Tensor pixels =
        images.slice(2, 4 * row, 4 * row + 4).slice(3, 4 * column, 4 * column + 4).contiguous();
    const Tensor expected =
        matmul(pixels.reshape({1, 48}), false, weight, true) + bias + table.select(1, 1 + patch);
    CHECK(difference(tokens.select(1, 5 + patch), expected) < 1e-12);
  }
}

TEST_CASE(
    "encoder: the position table on another grid: bicubic, scale (n + 0.1) / G (paper) or n / G (anomalib)") {
  // Cubic convolution with a = -0.75, neighbours clamped.
  const auto weight = [](double t) {
    t = std::abs(t);
    if (t <= 1) return (1.25 * t - 2.25) * t * t + 1;
    return t < 2 ? -0.75 * (((t - 5) * t + 8) * t - 4) : 0.0;
  };
  for (Preset preset : {Preset::paper, Preset::anomalib}) {
    Small small;
    small.config.preset = preset;
    const auto model = small.build();
    for (const char* name : {"encoder.blocks.0.attn.proj.weight", "encoder.blocks.0.mlp.fc2.weight",
                             "encoder.blocks.0.attn.proj.bias", "encoder.blocks.0.mlp.fc2.bias",
                             "encoder.patch_embed.proj.weight", "encoder.patch_embed.proj.bias"}) {
      fill(*model, name, 0);
    }
    // Rows equal the grid, columns do not: both axes are interpolated all the same.
    const int64_t rows = 3, columns = 5;
    const Tensor tokens = block_outputs(*model, random_pixels(4 * rows, 4 * columns, 1), {0})[0];
    const Tensor table = named(*model, "encoder.pos_embed").value();
    const double extra = preset == Preset::paper ? 0.1 : 0.0;
    for (int64_t row = 0; row < rows; ++row) {
      for (int64_t column = 0; column < columns; ++column) {
        const double y = (static_cast<double>(row) + 0.5) * 3 / (static_cast<double>(rows) + extra) - 0.5;
        const double x =
            (static_cast<double>(column) + 0.5) * 3 / (static_cast<double>(columns) + extra) - 0.5;
        Tensor expected = Tensor::zeros({1, 16}, Dtype::f64);
        for (int64_t i = static_cast<int64_t>(std::floor(y)) - 1; i <= std::floor(y) + 2; ++i) {
          for (int64_t j = static_cast<int64_t>(std::floor(x)) - 1; j <= std::floor(x) + 2; ++j) {
            const int64_t at = std::clamp<int64_t>(i, 0, 2) * 3 + std::clamp<int64_t>(j, 0, 2);
            expected = expected + table.select(1, 1 + at) * (weight(y - static_cast<double>(i)) *
                                                             weight(x - static_cast<double>(j)));
          }
        }
        CHECK(difference(tokens.select(1, 1 + row * columns + column), expected) < 1e-12);
      }
    }
  }
}

TEST_CASE("encoder: features are raw block outputs, and blocks after the last target are not run") {
  Small small;
  const auto model = small.build();
  const Tensor images = random_pixels(16, 16);
  const Tensor before = model->encode(images).bottleneck_input;
  for (const char* block : {"10", "11"})
    fill(*model, fmt::format("encoder.blocks.{}.norm1.weight", block), std::nan(""));
  CHECK(difference(model->encode(images).bottleneck_input, before) == 0);
  fill(*model, "encoder.blocks.9.norm1.weight", std::nan(""));
  CHECK(std::isnan(reduce(Reduce::sum, model->encode(images).bottleneck_input).item()));
}

TEST_CASE("encoder: frozen, without gradient and without dropout") {
  const auto model = Small().build();
  model->train();
  const Features a = model->encode(random_pixels(16, 16)), b = model->encode(random_pixels(16, 16));
  CHECK(difference(a.bottleneck_input, b.bottleneck_input) == 0);
  for (const Variable& parameter : model->encoder().parameters()) CHECK_FALSE(parameter.requires_grad());
  for (auto& [name, parameter] : model->named_trained_parameters()) {
    CHECK(parameter.requires_grad());
    CHECK_FALSE(name.starts_with("encoder."));
  }
}

}  // namespace dinomaly
