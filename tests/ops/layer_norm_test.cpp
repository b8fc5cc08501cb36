#include <doctest/doctest.h>

#include <cmath>
#include <limits>

#include "tests/ops/op_case.h"
#include "tests/support.h"

namespace nabla {

namespace {

OpCase layer_norm_case{
    "layer_norm",
    {{2, 3, 17}, {17}, {17}},
    [](Inputs in) { return layer_norm(in[0], in[1], in[2], 1e-6); },
    {.also = {{{1, 1}, {1}, {1}}, {{4, 33}, {33}, {33}}, {{0, 5}, {5}, {5}}, {{8}, {8}, {8}}},
     .wrong = {{{{2, 5}, {4}, {5}}, "layer_norm: weight (4) and bias (5) do not fit x (2, 5)"},
               {{{2, 5}, {5}, {1, 5}}, "layer_norm: weight (5) and bias (1, 5) do not fit x (2, 5)"},
               {{{2, 0}, {0}, {0}}, "layer_norm: x (2, 0) has nothing to normalise"}}}};

// At eps 1e-8, as the decoder has it.
OpFunction normalised() {
  return [](Inputs in) { return layer_norm(in[0], in[1], in[2], 1e-8); };
}

double largest_of(const Tensor& x) { return relative_error(x, Tensor::zeros(x.shape(), Dtype::f64)); }

// f32 or bf16 on the device against f64, both from the same inputs.
void check_rows(const Tensor& x, Device device, double tolerance) {
  Generator generator(7);
  const Dtype dtype = x.dtype();
  const Tensor weight = Tensor::normal({x.size(1)}, 0, 1, generator).to(dtype);
  const Tensor bias = Tensor::normal({x.size(1)}, 0, 1, generator).to(dtype);
  const Tensor cotangent = Tensor::normal(x.shape(), 0, 1, generator).to(dtype);
  const auto wide = [](const Tensor& tensor) { return tensor.to(Device::cpu()).to(Dtype::f64); };
  const Evaluation got =
      evaluate(normalised(), {x.to(device), weight.to(device), bias.to(device)}, cotangent.to(device));
  const Evaluation expected = evaluate(normalised(), {wide(x), wide(weight), wide(bias)}, wide(cotangent));
  CHECK(relative_error(got.output, expected.output) <= tolerance);
  for (size_t i = 0; i < 3; ++i) {
    INFO("gradient of input ", i);
    // Below its normal numbers f32 has few digits.
    const double largest = largest_of(expected.gradients[i]);
    if (largest > 1e-36) CHECK(relative_error(got.gradients[i], expected.gradients[i]) <= tolerance);
  }
}

// Rows that begin with `value` and in which every `period`-th element is a few steps of f32 away.
Tensor nearly_constant(float value, int64_t width, int64_t period) {
  std::vector<float> values;
  for (int64_t i = 0; i < 3 * width; ++i) {
    float element = value;
    for (int64_t steps = i % period == 0 ? i / width + 1 : 0; steps > 0; --steps) {
      element = std::nextafter(element, std::numeric_limits<float>::max());
    }
    values.push_back(element);
  }
  return Tensor::from(values, {3, width});
}

void check_constant_rows(Device device) {
  for (const float value :
       {1000.1f, -1000.1f, 0.1f, 0.0f, 12345.678f, 1.2345e8f, 1e25f, 3e38f, 1e-25f, 1e-42f}) {
    for (const int64_t width : {1, 2, 17, 384, 1000}) {
      INFO(value, " at width ", width);
      const Tensor x = Tensor::full({2, width}, value).to(device);
      const Tensor weight = Tensor::full({width}, 0.3f).to(device);
      const Tensor bias = Tensor::arange(width).to(Dtype::f32).to(device);
      const Evaluation got = evaluate(normalised(), {x, weight, bias}, {});
      CHECK(relative_error(got.output, bias.to(Device::cpu()).expand({2, width}).to(Dtype::f64)) == 0);
      CHECK(relative_error(got.gradients[0], Tensor::zeros({2, width}, Dtype::f64)) <= 1e-9);
      CHECK(relative_error(got.gradients[1], Tensor::zeros({width}, Dtype::f64)) == 0);
    }
  }
}

void check_hard_rows(Device device) {
  for (const float value : {1000.1f, -1000.1f, 0.1f, 3e4f, 1e8f, 1e25f, 2e38f, 1e-20f}) {
    for (const int64_t width : {17, 384, 1000}) {
      for (const int64_t period : {2, 7, 1000}) {
        INFO(value, " at width ", width, ", every ", period, "th differs");
        check_rows(nearly_constant(value, width, period), device, 2e-5);
      }
    }
  }
  Generator generator(8);
  for (const double offset : {1e2, 1e4, 1e6, 1e8}) {
    for (const double spread : {1e-3, 1.0, 1e3}) {
      INFO("mean ", offset, ", deviation ", spread);
      check_rows(Tensor::normal({5, 300}, offset, spread, generator), device, 2e-5);
      check_rows(Tensor::normal({5, 300}, offset, spread, generator).to(Dtype::bf16), device, 2e-2);
    }
  }
  for (const double size : {1e-42, 1e-30, 1e-12, 1e-4, 1e15, 1e25, 1e37}) {
    INFO("all of size ", size);
    check_rows(Tensor::normal({5, 300}, 0, size, generator), device, 2e-5);
  }
}

}  // namespace

TEST_CASE("layer_norm of constant rows is the bias, whatever the constant, and has no gradient") {
  check_constant_rows(Device::cpu());
}

TEST_CASE("layer_norm of rows far from zero, nearly constant, huge or tiny is what f64 gives") {
  check_hard_rows(Device::cpu());
}

TEST_CASE("layer_norm of constant and of hard rows on CUDA is what the CPU gives") {
  if (!has_cuda("layer_norm of constant and of hard rows")) return;
  check_constant_rows(Device::cuda());
  check_hard_rows(Device::cuda());
}

TEST_CASE("layer_norm of f64 rows has no mean of rounding either") {
  const Tensor x = Tensor::full({2, 300}, 1000.1, Dtype::f64), ones = Tensor::ones({300}, Dtype::f64);
  const auto without_eps = [](Inputs in) { return layer_norm(in[0], in[1], in[2], 1e-28); };
  const Evaluation got = evaluate(without_eps, {x, ones, ones}, {});
  CHECK(relative_error(got.output, Tensor::ones({2, 300}, Dtype::f64)) == 0);
}

// dweight and dbias are summed over pieces of rows.
TEST_CASE("layer_norm of more rows than one piece has the gradients of its formula") {
  Generator generator(5);
  const int64_t rows = 4001, width = 19;
  const Tensor x = Tensor::normal({rows, width}, 1, 2, generator, Dtype::f64);
  const Tensor weight = Tensor::normal({width}, 0, 1, generator, Dtype::f64);
  const Tensor cotangent = Tensor::normal({rows, width}, 0, 1, generator, Dtype::f64);
  const auto by_formula = [](Inputs in) {
    const Variable centred = in[0] - mean(in[0], {1}, true);
    return centred * rsqrt(mean(centred * centred, {1}, true) + 1e-6) * in[1] + in[2];
  };
  const Evaluation got = evaluate(layer_norm_case.function, {x, weight, weight}, cotangent),
                   expected = evaluate(by_formula, {x, weight, weight}, cotangent);
  CHECK(relative_error(got.output, expected.output) <= 1e-12);
  for (size_t i = 0; i < 3; ++i) CHECK(relative_error(got.gradients[i], expected.gradients[i]) <= 1e-12);
}

}  // namespace nabla
