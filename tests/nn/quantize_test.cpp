// Post-training quantization of modules: outliers, what is kept of a layer, and that it looks like a layer still.
#include "nn/quantize.h"

#include <doctest/doctest.h>

#include <cmath>
#include <fstream>
#include <string>

#include "nn/transformer.h"
#include "tensor/io/safetensors.h"
#include "tensor/ops.h"
#include "tests/module_case.h"
#include "tests/support.h"

namespace nabla {

namespace {

constexpr int64_t width = 96, hidden = 64, tokens = 50;

void randomise(Module& module) {
  Generator generator(3);
  for (const auto& [name, parameter] : module.named_parameters())
    parameter.set_value(Tensor::normal(parameter.shape(), 0, 0.1, generator));
  module.set_requires_grad(false);
}

Tensor inputs() {
  Generator generator(4);
  return Tensor::normal({2, tokens / 2, width}, 0, 1, generator);
}

// As in DINOv2's large encoders: three channels of x are thousands of times as large as the median, and their weights as
// much smaller, so that what comes out is of one size with the rest.
Tensor with_outliers(const Tensor& x, const Linear& layer) {
  std::vector<float> factors(static_cast<size_t>(width), 1.0f);
  for (const size_t channel : {size_t{3}, size_t{40}, size_t{77}}) factors[channel] = 4000.0f;
  const Tensor scale = Tensor::from(factors, {width});
  layer.weight.set_value(binary(Binary::div, layer.weight.value(), scale));
  return x * scale;
}

// What stands in memory of mapped files.
int64_t resident_file_kb() {
  std::ifstream status("/proc/self/status");
  for (std::string line; std::getline(status, line);) {
    if (line.starts_with("RssFile:")) return std::stoll(line.substr(8));
  }
  FAIL("/proc/self/status has no RssFile");
  return 0;
}

}  // namespace

TEST_CASE("quantize: channels of outliers destroy plain int8, and smoothed they cost nothing") {
  const NoGrad guard;
  double errors[2];
  for (const bool smoothed : {false, true}) {
    Linear layer(width, hidden);
    randomise(layer);
    const Variable x(with_outliers(inputs(), layer));
    const Tensor expected = layer(x).value();
    quantize(layer, smoothed ? std::function<void()>([&] { layer(x); }) : nullptr);
    errors[smoothed] = relative_distance(layer(x).value(), expected);
  }
  CHECK(errors[false] > 0.5);
  CHECK(errors[true] < 0.02);
}

TEST_CASE("quantize: weights of a mapped checkpoint leave the memory") {
  const TemporaryFolder folder;
  const auto file = folder / "weight.safetensors";
  constexpr int64_t wide = 2048;
  save_safetensors(file, {{"weight", Tensor::ones({wide, wide})}});
  Linear layer(wide, wide);
  const int64_t before = resident_file_kb();
  const SafeTensors checkpoint = SafeTensors::load(file);  // stays, as one whose other tensors are in use
  layer.weight.set_value(checkpoint.get("weight"));
  quantize(layer, nullptr);
  CHECK(resident_file_kb() - before < 4096);  // of 16384
}

TEST_CASE("quantize: s = (max |x|)^alpha / (max |W|)^(1 - alpha), 1 where either is 0") {
  const Tensor weight = Tensor::from(std::vector<float>{1, -16, 0, 2, 4, 4, 0, 0}, {2, 4});
  const Tensor largest = Tensor::from(std::vector<float>{4, 1, 5, 0}, {4});
  CHECK(smoothing_scales(weight, largest, 0.5).to_vector<float>() == std::vector<float>{1, 0.25, 1, 1});
  CHECK(smoothing_scales(weight, largest, 0).to_vector<float>() == std::vector<float>{0.25, 0.0625, 1, 0.5});
}

TEST_CASE("smoothing_scales: a largest that is not of the weight's inputs is refused") {
  const Tensor weight = Tensor::ones({4, 3});
  for (const Shape& shape : {Shape{4}, Shape{100000}, Shape{3, 1}})
    CHECK_THROWS_AS(smoothing_scales(weight, Tensor::ones(shape), 0.5), Error);
  CHECK_THROWS_AS(smoothing_scales(Tensor::ones({3}), Tensor::ones({3}), 0.5), Error);
}

TEST_CASE("quantize: a watched layer keeps the largest |x| of each channel, and computes what it did") {
  const NoGrad guard;
  Linear layer(2, 3);
  randomise(layer);
  const Variable x(Tensor::from(std::vector<float>{1, -5, -3, 2}, {2, 2})),
      more(Tensor::from(std::vector<float>{0, -6}, {1, 2}));
  const auto before = layer(x).value().to_vector<float>();
  CHECK(layer.is_plain());
  layer.watch_inputs(true);
  CHECK_FALSE(layer.is_plain());
  CHECK(layer(x).value().to_vector<float>() == before);
  layer(more);
  CHECK(layer.largest_input.to_vector<float>() == std::vector<float>{3, 6});
  layer.watch_inputs(false);
  CHECK(layer.is_plain());
}

TEST_CASE("quantize: an attention may multiply integers, too") {
  Attention attention(width, 3);
  randomise(attention);
  const Variable x = inputs();
  quantize(attention, [&] { attention(x); });
  const Variable parts = attention.qkv.for_product(x);
  const Variable made = packed_attention(parts, 3, 1 / std::sqrt(32.0), {}, true);
  CHECK(attention(x).value().to_vector<float>() ==
        attention.proj(made, {}, Dtype::f32).value().to_vector<float>());
}

TEST_CASE("quantize: every product of a block is int8, near what it was, under torch's names with two more") {
  const NoGrad guard;
  Attention attention(width, 4);
  LinearAttention linear_attention(width, 4, 0);
  Mlp mlp(width, hidden);
  SwiGLU swiglu(width, hidden);
  const Variable x(inputs());
  const auto check = [&](Module& module, const std::function<Variable()>& run) {
    randomise(module);
    const Tensor expected = run().value();
    quantize(module, [&] { run(); });
    CHECK(relative_distance(run().value(), expected) < 0.03);
    for (const auto& [name, tensor] : module.state_dict()) {
      CAPTURE(name);
      CHECK(tensor.dtype() == (name.ends_with(".weight") ? Dtype::i8 : Dtype::f32));
    }
    module.to(Dtype::f32);  // integers stay
    CHECK(relative_distance(run().value(), expected) < 0.03);
    for (const auto& [name, part] : module.modules()) {
      if (const auto* layer = dynamic_cast<const Linear*>(part)) {
        CAPTURE(name);
        CHECK((layer->is_quantized() && layer->input_scale.defined()));
      }
    }
  };
  check(attention, [&] { return attention(x, {x, {}}); });
  check(linear_attention, [&] { return linear_attention(x, {x, {}}); });
  check(mlp, [&] { return mlp(x, {x, {}}); });
  check(swiglu, [&] { return swiglu(x, {x, {}}); });
  CHECK(mlp.state_dict().size() == 8);
  const std::string first = mlp.state_dict()[0].first;
  CHECK(first.starts_with("fc1."));
}

TEST_CASE(
    "quantize: no gradient, and an input that is not finite is an error that leaves the module as it was") {
  Linear layer(4, 3);
  randomise(layer);
  const Variable bad(Tensor::full({2, 4}, std::numeric_limits<double>::infinity()));
  CHECK_THROWS_WITH_AS(quantize(layer, [&] { layer(bad); }), doctest::Contains("not finite"), Error);
  CHECK(layer.is_plain());
  CHECK_THROWS_AS(quantize(layer, [] { throw Error("none"); }), Error);
  CHECK(layer.is_plain());
  Mlp mlp(4, 8);  // the second layer's input is not finite, the first one's is
  randomise(mlp);
  mlp.fc1.weight.value().fill(1e30);
  const Variable large(Tensor::full({1, 4}, 1e30));
  CHECK_THROWS_WITH_AS(quantize(mlp, [&] { mlp(large); }),
                       doctest::Contains("the input of fc2 is not finite"), Error);
  CHECK((mlp.fc1.is_plain() && mlp.fc2.is_plain()));
  quantize(layer);
  CHECK_THROWS_WITH_AS(quantize(layer), doctest::Contains("int8 already"), Error);
  CHECK_THROWS_AS(layer(Variable(Tensor::ones({2, 4}), true)), Error);
}

}  // namespace nabla
