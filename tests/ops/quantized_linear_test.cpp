// linear() with int8 weights: against a naive product of the same integers, to the bit; against linear() itself, within
// what rounding to int8 may cost.
#include <doctest/doctest.h>

#include <cmath>
#include <cstring>
#include <limits>

#include "tensor/threads.h"
#include "tests/ops/op_case.h"
#include "tests/support.h"

namespace nabla {

namespace {

constexpr float infinite = std::numeric_limits<float>::infinity();

// Whole numbers over 64: exact in f32, and the same whoever compiles this.
Tensor fractions(const Shape& shape, uint32_t seed, Dtype dtype = Dtype::f32) {
  std::vector<float> values(static_cast<size_t>(shape.numel()));
  uint32_t state = seed * 2654435761u + 1;
  for (float& value : values) {
    state = state * 1664525u + 1013904223u;
    value = (static_cast<float>(state >> 21) - 1024.0f) / 64.0f;
  }
  return Tensor::from(values, shape).to(dtype);
}

struct Problem {
  int64_t rows, depth, columns;
};
// Depths that are no multiple of 4 or 64, one row, tiles of rows and columns that are full and that are not.
const std::vector<Problem> problems = {{1, 1, 1},       {1, 384, 192}, {5, 7, 3},      {6, 64, 64},
                                       {7, 65, 66},     {12, 63, 128}, {789, 384, 96}, {100, 1538, 65},
                                       {31, 130, 1000}, {4, 0, 5},     {12, 0, 5}};

struct Layer {
  Variable x;
  QuantizedWeights weights;
  Residual then;
};

Layer layer_of(const Problem& p, Dtype dtype) {
  const Tensor weight = fractions({p.columns, p.depth}, 2, dtype);
  return {Variable(fractions({p.rows, p.depth}, 1, dtype)),
          quantize_weight(weight, fractions({p.columns}, 3, dtype)),
          {Variable(fractions({p.rows, p.columns}, 4, dtype)), Variable(fractions({p.columns}, 5, dtype))}};
}

// a * b, which nobody may fuse with what comes next.
float product(float a, float b) {
  volatile float result = a * b;
  return result;
}

// The formula of quantized_linear.cpp, element by element. No GELU: its last bits are the kernel's own.
std::vector<float> naive(const Layer& layer, const Problem& p, bool residual) {
  const auto [rows, row_scales] = quantize_rows(layer.x.value());
  const auto a = rows.to_vector<int64_t>(), b = layer.weights.weight.to_vector<int64_t>();
  const auto s = row_scales.to_vector<float>(), scale = layer.weights.scale.to_vector<float>();
  const auto bias = layer.weights.bias.to_vector<float>(),
             factor = layer.then.scale.value().to_vector<float>();
  const auto other = layer.then.x.value().to_vector<float>();
  std::vector<float> y;
  for (int64_t r = 0; r < p.rows; ++r) {
    for (int64_t c = 0; c < p.columns; ++c) {
      int64_t sum = 0;
      for (int64_t i = 0; i < p.depth; ++i)
        sum += a[static_cast<size_t>(r * p.depth + i)] * b[static_cast<size_t>(c * p.depth + i)];
      const size_t column = static_cast<size_t>(c), place = static_cast<size_t>(r * p.columns + c);
      float value =
          std::fma(static_cast<float>(sum), product(s[static_cast<size_t>(r)], scale[column]), bias[column]);
      if (residual) value = product(value, factor[column]) + other[place];
      y.push_back(value);
    }
  }
  return Tensor::from(y, {p.rows, p.columns}).to(layer.x.dtype()).to_vector<float>();
}

uint64_t digest_of(const Tensor& x) {
  uint64_t hash = 14695981039346656037u;
  for (const float value : x.to_vector<float>()) {
    uint32_t bits;
    std::memcpy(&bits, &value, sizeof bits);
    hash = (hash ^ bits) * 1099511628211u;
  }
  return hash;
}

}  // namespace

TEST_CASE("quantized_linear: equals the naive product to the bit") {
  for (const Problem& p : problems) {
    for (const Dtype dtype : {Dtype::f32, Dtype::bf16}) {
      INFO(name_of(dtype), " ", p.rows, " x ", p.depth, " x ", p.columns);
      const Layer layer = layer_of(p, dtype);
      CHECK(quantized_linear(layer.x, layer.weights).value().to_vector<float>() == naive(layer, p, false));
      const auto none = Epilogue::Activation::none;
      CHECK(quantized_linear(layer.x, layer.weights, none, layer.then).value().to_vector<float>() ==
            naive(layer, p, true));
    }
  }
}

TEST_CASE("quantized_linear: an input scale is a factor of x, taken before its rows are quantised") {
  for (const Problem& p : problems) {
    INFO(p.rows, " x ", p.depth, " x ", p.columns);
    Layer layer = layer_of(p, Dtype::f32);
    const Tensor factors = fractions({p.depth}, 6);
    const Variable scaled(layer.x.value() * factors);
    const auto expected = quantized_linear(scaled, layer.weights).value().to_vector<float>();
    layer.weights.input_scale = factors;
    CHECK(quantized_linear(layer.x, layer.weights).value().to_vector<float>() == expected);
    const Variable half(layer.x.value().to(Dtype::bf16));
    const Tensor y = quantized_linear(half, layer.weights).value();
    CHECK(relative_error(y.to(Dtype::f32), Tensor::from(expected, {p.rows, p.columns})) < 0.02);
  }
}

TEST_CASE("quantized_linear: the result may be of another dtype than x") {
  const auto none = Epilogue::Activation::none;
  const auto numbers = [](const Variable& y) { return y.value().to(Dtype::f32).to_vector<float>(); };
  for (const Problem& p : problems) {
    INFO(p.rows, " x ", p.depth, " x ", p.columns);
    const Layer layer = layer_of(p, Dtype::f32);
    const Variable wide = quantized_linear(layer.x, layer.weights);
    CHECK(numbers(quantized_linear(layer.x, layer.weights, none, {}, Dtype::bf16)) ==
          numbers(Variable(wide.value().to(Dtype::bf16))));
    const Variable half(layer.x.value().to(Dtype::bf16)), same(half.value().to(Dtype::f32));
    const Variable y = quantized_linear(half, layer.weights, none, layer.then, Dtype::f32);
    CHECK(y.dtype() == Dtype::f32);
    CHECK(numbers(y) == numbers(quantized_linear(same, layer.weights, none, layer.then)));
    CHECK_THROWS_WITH_AS(quantized_linear(layer.x, layer.weights, none, layer.then, Dtype::bf16),
                         doctest::Contains("the result is bf16 on cpu, the residual or its scale f32 on cpu"),
                         Error);
    CHECK_THROWS_WITH_AS(quantized_linear(layer.x, layer.weights, none, {}, Dtype::i64),
                         doctest::Contains("expected x and y of f32 or bf16, got i64"), Error);
  }
}

// Every processor level runs this test (tests/CMakeLists.txt): the numbers are those of all of them.
TEST_CASE("quantized_linear: the same bits on every processor and with any number of threads") {
  const Problem p{100, 390, 200};
  const int before = num_threads();
  for (const Dtype dtype : {Dtype::f32, Dtype::bf16}) {
    const Layer layer = layer_of(p, dtype);
    for (int threads = 1; threads <= 5; ++threads) {
      set_num_threads(threads);
      INFO(threads, " threads, ", name_of(dtype));
      const Tensor y =
          quantized_linear(layer.x, layer.weights, Epilogue::Activation::gelu, layer.then).value();
      CHECK(digest_of(y) == (dtype == Dtype::f32 ? 6231699900113302257u : 16095287004633697701u));
    }
  }
  set_num_threads(before);
}

TEST_CASE("quantized_linear: off by no more than rounding to int8 may cost") {
  Generator generator(1);
  const int64_t rows = 40, depth = 300, columns = 50;
  const Tensor x = Tensor::normal({rows, depth}, 0, 1, generator);
  const Tensor weight = Tensor::normal({columns, depth}, 0, 0.1, generator);
  const Tensor bias = Tensor::normal({columns}, 0, 1, generator);
  const QuantizedWeights layer = quantize_weight(weight, bias);
  CHECK(layer.weight.dtype() == Dtype::i8);
  const auto y = quantized_linear(Variable(x), layer).value().to_vector<double>();
  const auto exact = linear(Variable(x), Variable(weight), Variable(bias)).value().to_vector<double>();
  const auto xs = x.to_vector<double>(), ws = weight.to_vector<double>();
  const auto row_scales = quantize_rows(x).second.to_vector<double>(),
             scales = layer.scale.to_vector<double>();
  double worst = 0;  // share of the bound
  for (int64_t r = 0; r < rows; ++r) {
    for (int64_t c = 0; c < columns; ++c) {
      const double s = row_scales[static_cast<size_t>(r)], scale = scales[static_cast<size_t>(c)];
      double bound = 1e-5;
      for (int64_t i = 0; i < depth; ++i) {
        bound += s / 2 * std::abs(ws[static_cast<size_t>(c * depth + i)]) +
                 scale / 2 * std::abs(xs[static_cast<size_t>(r * depth + i)]) + s * scale / 4;
      }
      const size_t place = static_cast<size_t>(r * columns + c);
      worst = std::max(worst, std::abs(y[place] - exact[place]) / bound);
    }
  }
  CHECK(worst <= 1);
  CHECK(worst > 0);
}

TEST_CASE("quantized_linear: GELU is that of mlp()") {
  const Layer layer = layer_of({20, 64, 70}, Dtype::f32);
  const Tensor plain = quantized_linear(layer.x, layer.weights).value() * (1.0 / 512);
  QuantizedWeights small = layer.weights;
  small.scale = small.scale * (1.0 / 512);
  small.bias = small.bias * (1.0 / 512);
  const Tensor y = quantized_linear(layer.x, small, Epilogue::Activation::gelu).value();
  CHECK(relative_error(y, unary(Unary::gelu, plain)) < 1e-5);
}

TEST_CASE("quantize_rows: the largest becomes 127, ties go to even, zeros stay zeros") {
  const Tensor x = Tensor::from<float>({-127, 2.5f, 3.5f, 126.4f, 0, 0, 0, 0, 1e-38f, 0, 0, 0}, {3, 4});
  const auto [q, scale] = quantize_rows(x);
  CHECK(q.to_vector<int64_t>() == std::vector<int64_t>{-127, 2, 4, 126, 0, 0, 0, 0, 0, 0, 0, 0});
  CHECK(scale.to_vector<float>() == std::vector<float>{1, 0, 0});
  const auto [half, half_scale] = quantize_rows(x.to(Dtype::bf16));
  CHECK(half.to_vector<int64_t>()[0] == -127);
  CHECK(half_scale.to_vector<float>()[0] == 1);
  CHECK_THROWS_WITH_AS(quantize_rows(x.to(Dtype::f64)),
                       "quantize_rows: expected a matrix of f32 or bf16, got f64 (3, 4)", Error);
  CHECK_THROWS_WITH_AS(quantize_rows(Tensor::ones({3})),
                       "quantize_rows: expected a matrix of f32 or bf16, got f32 (3)", Error);
}

TEST_CASE(
    "quantized_linear: a row of zeros gives the bias; one with NaN or infinity gives NaN, and only it") {
  const Problem p{9, 70, 66};
  for (const Dtype dtype : {Dtype::f32, Dtype::bf16}) {
    const Layer layer = layer_of(p, dtype);
    std::vector<float> x = layer.x.value().to_vector<float>();
    const auto at = [&](int64_t row, int64_t i) -> float& {
      return x[static_cast<size_t>(row * p.depth + i)];
    };
    for (int64_t i = 0; i < p.depth; ++i) at(2, i) = 0;
    at(4, 69) = std::numeric_limits<float>::quiet_NaN();
    at(5, 0) = infinite;
    at(7, 33) = -infinite;
    const Variable broken(Tensor::from(x, {p.rows, p.depth}).to(dtype));
    const auto y = quantized_linear(broken, layer.weights).value().to_vector<float>();
    const auto expected = quantized_linear(layer.x, layer.weights).value().to_vector<float>();
    const auto bias = layer.weights.bias.to_vector<float>();
    for (int64_t i = 0; i < p.rows * p.columns; ++i) {
      const int64_t row = i / p.columns;
      const float value = y[static_cast<size_t>(i)];
      if (row == 4 || row == 5 || row == 7)
        CHECK(std::isnan(value));
      else
        CHECK(value ==
              (row == 2 ? bias[static_cast<size_t>(i % p.columns)] : expected[static_cast<size_t>(i)]));
    }
    const auto gelu =
        quantized_linear(broken, layer.weights, Epilogue::Activation::gelu).value().to_vector<float>();
    CHECK(std::isnan(gelu[static_cast<size_t>(4 * p.columns)]));
  }
  // A weight that is broken breaks its own channel.
  const QuantizedWeights layer = quantize_weight(Tensor::from<float>({1, 2, infinite, 1}, {2, 2}));
  const auto y = quantized_linear(Variable(Tensor::ones({1, 2})), layer).value().to_vector<float>();
  CHECK(std::abs(y[0] - 3) < 0.02);
  CHECK(std::isnan(y[1]));
}

TEST_CASE("quantized_linear: leading axes, strided and empty inputs, no bias, the longest row") {
  const Problem p{12, 30, 20};
  const Layer layer = layer_of(p, Dtype::f32);
  const std::vector<float> expected = naive(layer, p, true);
  const Residual then{Variable(strided_copy(layer.then.x.value().reshape({3, 4, 20}))),
                      Variable(strided_copy(layer.then.scale.value()))};
  const QuantizedWeights strided{strided_copy(layer.weights.weight), strided_copy(layer.weights.scale),
                                 strided_copy(layer.weights.bias)};
  const Variable y = quantized_linear(Variable(strided_copy(layer.x.value().reshape({3, 4, 30}))), strided,
                                      Epilogue::Activation::none, then);
  CHECK(y.shape() == Shape{3, 4, 20});
  CHECK(y.value().to_vector<float>() == expected);
  CHECK(quantized_linear(Variable(Tensor::ones({0, 30})), layer.weights).shape() == Shape{0, 20});
  CHECK(quantize_weight(Tensor::ones({0, 30})).weight.shape() == Shape{0, 30});
  const QuantizedWeights no_bias = quantize_weight(Tensor::ones({2, 30}));
  CHECK(quantized_linear(Variable(Tensor::full({30}, 2)), no_bias).value().to_vector<float>() ==
        std::vector<float>(2, 60));
  for (const int64_t rows : {1, 7}) {
    const Variable longest(Tensor::ones({rows, quantized_depth}));
    for (const double sign : {1.0, -1.0}) {
      const QuantizedWeights weights = quantize_weight(Tensor::full({1, quantized_depth}, sign));
      CHECK(quantized_linear(longest, weights).value().to_vector<double>().back() ==
            doctest::Approx(sign * static_cast<double>(quantized_depth)));
    }
  }
}

TEST_CASE("quantized_linear: what does not fit is refused, as is a gradient") {
  const QuantizedWeights layer = quantize_weight(Tensor::ones({4, 5}), Tensor::ones({4}));
  const auto message = [&](const Variable& x, const QuantizedWeights& weights, const Residual& then = {}) {
    try {
      quantized_linear(x, weights, Epilogue::Activation::none, then);
    } catch (const Error& error) {
      return std::string(error.what());
    }
    return std::string("no error");
  };
  const Variable x(Tensor::ones({2, 5}));
  CHECK(message(Variable(Tensor::ones({2, 6})), layer) ==
        "quantized_linear: weight (4, 5) does not fit x (2, 6)");
  CHECK(message(x, {layer.weight, layer.scale, Tensor::ones({5})}) ==
        "quantized_linear: bias (5) does not fit weight (4, 5)");
  CHECK(message(x, layer, {Variable(Tensor::ones({2, 5})), {}}) ==
        "quantized_linear: residual (2, 5) does not fit the output (2, 4)");
  CHECK(message(x, {layer.weight, Tensor::ones({5}), {}}) ==
        "quantized_linear: expected a weight of i8 and its scale of f32 (4), got i8 (4, 5) and f32 (5)");
  CHECK(message(x, {Tensor::ones({4, 5}), layer.scale, {}}) ==
        "quantized_linear: expected a weight of i8 and its scale of f32 (4), got f32 (4, 5) and f32 (4)");
  CHECK(message(Variable(Tensor::ones({2, 5}, Dtype::f64)), layer) ==
        "quantized_linear: expected x and y of f32 or bf16, got f64");
  const Variable wanted(Tensor::ones({2, 5}), true);
  CHECK(message(wanted, layer).find("quantized_linear: has no gradient") == 0);
  CHECK(no_grad([&] { return message(wanted, layer); }) == "no error");
}

TEST_CASE("quantized_linear: CUDA gives what the CPU gives") {
  if (!has_cuda("quantized_linear")) return;
  for (const Problem& p : {Problem{7, 65, 66}, Problem{1, 384, 20}}) {
    for (const Dtype dtype : {Dtype::f32, Dtype::bf16}) {
      Layer layer = layer_of(p, dtype);
      layer.weights.input_scale = fractions({p.depth}, 6);
      const auto there = [](const Variable& x) { return Variable(x.value().to(Device::cuda())); };
      const QuantizedWeights weights{
          layer.weights.weight.to(Device::cuda()), layer.weights.scale.to(Device::cuda()),
          layer.weights.bias.to(Device::cuda()), layer.weights.input_scale.to(Device::cuda())};
      const auto [q, scale] = quantize_rows(there(layer.x).value());
      CHECK(q.to_vector<int64_t>() == quantize_rows(layer.x.value()).first.to_vector<int64_t>());
      CHECK(scale.to_vector<float>() == quantize_rows(layer.x.value()).second.to_vector<float>());
      const auto gelu = Epilogue::Activation::gelu;
      const Tensor y =
          quantized_linear(there(layer.x), weights, gelu, {there(layer.then.x), there(layer.then.scale)})
              .value();
      const Tensor expected = quantized_linear(layer.x, layer.weights, gelu, layer.then).value();
      CHECK(relative_error(y.to(Device::cpu()), expected) < (dtype == Dtype::f32 ? 1e-5 : 1e-2));
    }
  }
}

// From the second product on a weight's other order is kept.
TEST_CASE("quantized_linear: a weight that changes is multiplied as it is now") {
  const Problem p{40, 130, 70};
  const Layer layer = layer_of(p, Dtype::f32);
  for (int i = 0; i < 3; ++i)
    CHECK(quantized_linear(layer.x, layer.weights).value().to_vector<float>() == naive(layer, p, false));
  layer.weights.weight.fill(3);
  for (int i = 0; i < 3; ++i)
    CHECK(quantized_linear(layer.x, layer.weights).value().to_vector<float>() == naive(layer, p, false));
}

TEST_CASE("quantized_linear: what bf16 has no normal numbers for is 0") {
  for (const int64_t rows : {1, 40}) {
    for (const int64_t columns : {64, 70}) {
      const QuantizedWeights layer{Tensor::zeros({columns, 8}, Dtype::i8), Tensor::ones({columns}),
                                   Tensor::full({columns}, 1e-39), Tensor()};
      const Tensor y = quantized_linear(Variable(Tensor::zeros({rows, 8})), layer, Epilogue::Activation::none,
                                        {}, Dtype::bf16)
                           .value();
      CHECK(y.to_vector<float>() == std::vector<float>(static_cast<size_t>(rows * columns), 0.0f));
    }
  }
}

}  // namespace nabla
