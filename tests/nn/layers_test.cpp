#include "nn/layers.h"

#include <cmath>

#include "nn/transformer.h"
#include "tests/module_case.h"
#include "tests/support.h"

namespace nabla {
namespace {

// A layer of one argument, against PyTorch's case of that name.
template <class Layer, class... Args>
void check_layer(const std::string& name, Args&&... args) {
  Layer layer(std::forward<Args>(args)...);
  check_module(name, layer, [&](const Variable& x) { return layer(x); });
}

std::string message_of(const std::function<void()>& call) {
  try {
    call();
  } catch (const Error& error) {
    return error.what();
  }
  return "";
}

}  // namespace

TEST_CASE("layers: values and gradients are PyTorch's") {
  check_layer<Linear>("linear", 5, 4);
  check_layer<Linear>("linear_without_bias", 5, 4, false);
  check_layer<LayerNorm>("layer_norm", 9, 1e-2);
  check_layer<LayerScale>("layer_scale", 5);
  check_layer<Mlp>("mlp", 6, 10);
  check_layer<Mlp>("mlp_without_bias", 6, 10, false);
  check_layer<SwiGLU>("swiglu", 6, 5);
  check_layer<Attention>("attention", 12, 3);
  check_layer<LinearAttention>("linear_attention", 12, 2, 0.1);
  check_layer<Conv2d>("conv2d", 4, 6, 3, Conv2dArgs{.stride_y = 2, .padding_x = 1, .groups = 2});
  check_layer<Conv2d>("conv2d_without_bias", 2, 3, 2, Conv2dArgs{}, false);
  check_layer<PatchEmbed>("patch_embed", 4, 5);
}

TEST_CASE("layers: parameters start as their headers say") {
  for (const auto& [name, value] : Linear(3, 2).state_dict()) CHECK(value.to_vector<float>()[0] == 0);
  const LayerNorm norm(3, 1e-6);
  CHECK(norm.weight.value().to_vector<float>() == std::vector<float>{1, 1, 1});
  CHECK(norm.bias.value().to_vector<float>() == std::vector<float>{0, 0, 0});
  CHECK(LayerScale(2, 0.25).gamma.value().to_vector<float>() == std::vector<float>{0.25f, 0.25f});
  CHECK_FALSE(Linear(3, 2, false).bias.defined());
}

TEST_CASE("layers: what does not fit names the layer and the numbers") {
  CHECK(
      one_line_with(message_of([] { Attention(10, 3); }), "attention: width 10 does not split into 3 heads"));
  CHECK(one_line_with(message_of([] { LinearAttention(10, 0, 0); }), "linear_attention: width 10"));
  CHECK(one_line_with(message_of([] { Conv2d(3, 4, 1, {.groups = 2}); }), "conv2d: 3 channels"));
  CHECK(one_line_with(message_of([] { Dropout(1); }), "dropout: probability 1"));
  CHECK(one_line_with(message_of([] { Dropout(-0.1); }), "dropout: probability -0.1"));
  const PatchEmbed embed(4, 2);
  CHECK(one_line_with(message_of([&] { embed(Tensor::zeros({1, 3, 8, 10})); }), "(1, 3, 8, 10)"));
  const Linear narrow(3, 2);
  CHECK(one_line_with(message_of([&] { narrow(Tensor::zeros({1, 4})); }), "(1, 4)"));
}

TEST_CASE("dropout: a share p is zero, the rest grows to keep the mean, and evaluation changes nothing") {
  Dropout layer(0.2);
  Generator generator(3);
  const int64_t count = 100000;
  const Variable x(Tensor::ones({count}), true);
  const Variable y = layer(x, generator);
  const std::vector<float> values = y.value().to_vector<float>();
  const auto zeros = std::count(values.begin(), values.end(), 0.0f);
  CHECK(std::abs(static_cast<double>(zeros) / count - 0.2) < 0.005);  // four standard deviations
  CHECK(zeros + std::count(values.begin(), values.end(), 1.25f) == count);
  y.backward(Tensor::ones({count}));
  CHECK(x.grad().to_vector<float>() == values);  // where a value went, its gradient goes

  CHECK(layer(x, generator).value().to_vector<float>() != values);  // another mask at every call
  Generator again(3);
  CHECK(layer(x, again).value().to_vector<float>() == values);
  layer.eval();
  const uint64_t before = generator.offset();
  CHECK(layer(x, generator).value().to_vector<float>() == std::vector<float>(count, 1.0f));
  CHECK(generator.offset() == before);
}

TEST_CASE("patch_embed: a patch of no pixels is refused, and no images have no tokens") {
  CHECK_THROWS_WITH_AS(PatchEmbed(0, 8), "patch_embed: a patch of 0 pixels", Error);
  PatchEmbed embed(2, 8);
  CHECK(embed(Variable(Tensor::empty({0, 3, 4, 6}))).shape() == Shape{0, 6, 8});
}

}  // namespace nabla
