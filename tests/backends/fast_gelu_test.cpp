#include "backends/cpu/fast_gelu.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>
#include <numbers>
#include <vector>

#include "backends/cpu/output_line.h"
#include "tensor/elementwise.h"
#include "tensor/kernels.h"
#include "tensor/ops.h"
#include "tensor/random.h"

using namespace nabla;

namespace {

constexpr float infinity = std::numeric_limits<float>::infinity();

double cdf(double x) { return 0.5 * std::erfc(-x / std::sqrt(2.0)); }
double gelu(double x) { return x * cdf(x); }
double slope(double x) { return cdf(x) + x * std::exp(-x * x / 2) / std::sqrt(2 * std::numbers::pi); }

template <class Function, size_t size>
void apply_to_lines(float (&values)[size], const Function& function) {
  static_assert(size % line_columns == 0);
  for (float* from = values; from < values + size; from += line_columns) {
    Line x;
    load_line(from, x);
    function(x);
    store_line(x, from);
  }
}

template <class Function>
double worst_error(const Function& function, double (*expected)(double)) {
  double worst = 0;
  for (int first = -16000; first < 16000; first += 64) {
    float x[64], y[64];
    for (int i = 0; i < 64; ++i) y[i] = x[i] = static_cast<float>(first + i) / 2000;
    apply_to_lines(y, function);
    for (int i = 0; i < 64; ++i) worst = std::max(worst, std::abs(y[i] - expected(x[i])));
  }
  return worst;
}

// The largest distance from f64. Rounding to bf16 makes up to 0.004 of it.
double worst_of_bf16(const Tensor& x, const std::vector<double>& expected) {
  const auto values = x.to_vector<double>();
  double worst = 0;
  for (size_t i = 0; i < values.size(); ++i)
    worst = std::max(worst, std::abs(values[i] - expected[i]) / (1e-2 + std::abs(expected[i])));
  return worst;
}

// Numbers of many sizes, and such whose sum with a product is a tie of f32 but for a last bit far below.
std::vector<float> factors() {
  std::vector<float> numbers = {0.0f,      -0.0f,    1.0f,      0x1.000002p0f,  0x1p-24f,
                                -0x1p-24f, 0x1p-60f, 0x1.8p23f, 0x1.fffffep127f};
  Generator generator(1);
  for (int i = 0; i < 60; ++i)
    numbers.push_back(std::ldexp(static_cast<float>(generator.normal()), static_cast<int>(i % 50) - 25));
  return numbers;
}

}  // namespace

TEST_CASE("fast_gelu: off by no more than it says") {
  CHECK(worst_error([](Line& x) { fast_gelu<GeluFit>(x); }, gelu) < 9e-7);
  CHECK(worst_error([](Line& x) { fast_gelu<ShortGeluFit>(x); }, gelu) < 1.4e-5);
  CHECK(worst_error([](Line& x) { fast_gelu_slope(x); }, slope) < 2e-5);
}

TEST_CASE("fast_gelu: tensors of bf16 of any size, forwards and backwards") {
  Generator generator(1);
  for (const int64_t count :
       {int64_t{1}, line_columns - 1, line_columns, line_columns + 1, int64_t{100'003}}) {
    CAPTURE(count);
    const Tensor x = Tensor::normal({count}, 0, 2, generator).to(Dtype::bf16),
                 dy = Tensor::normal({count}, 0, 1, generator).to(Dtype::bf16);
    std::vector<double> y = x.to_vector<double>(), dx = dy.to_vector<double>();
    for (size_t i = 0; i < y.size(); ++i) {
      dx[i] *= slope(y[i]);
      y[i] = gelu(y[i]);
    }
    CHECK(worst_of_bf16(unary(Unary::gelu, x), y) < 0.006);
    const Tensor every_second = Tensor::zeros({count, 2}, Dtype::bf16).select(1, 0);
    every_second.copy_from(x);
    CHECK(unary(Unary::gelu, every_second).to_vector<float>() == unary(Unary::gelu, x).to_vector<float>());
    kernels_for(x).unary_backward(Unary::gelu, dy, x, x, {}, dy);  // in place
    CHECK(worst_of_bf16(dy, dx) < 0.01);
  }
}

TEST_CASE("fast_gelu: zero, large numbers and NaN") {
  float x[64] = {0.0f, 100.0f, -100.0f, infinity, -infinity, std::nanf("")};
  apply_to_lines(x, [](Line& line) { fast_gelu<GeluFit>(line); });
  CHECK(x[0] == 0.0f);
  CHECK(x[1] == 100.0f);
  CHECK(std::abs(x[2]) < 9e-7f);
  CHECK(x[3] == infinity);
  CHECK(std::abs(x[4]) < 9e-7f);
  CHECK(std::isnan(x[5]));
  float slopes[64] = {0.0f, 100.0f, -100.0f, infinity, -infinity, std::nanf("")};
  apply_to_lines(slopes, [](Line& line) { fast_gelu_slope(line); });
  CHECK(std::abs(slopes[0] - 0.5f) < 2e-5f);
  for (const int high : {1, 3}) CHECK(std::abs(slopes[high] - 1.0f) < 2e-5f);
  for (const int low : {2, 4}) CHECK(std::abs(slopes[low]) < 2e-5f);
  CHECK(std::isnan(slopes[5]));
}

TEST_CASE("fast_gelu: a sum of a product is rounded once, without the instruction, too") {
  for (const float a : factors()) {
    for (const float b : factors()) {
      for (const float c : factors()) {
        const float expected = std::fma(a, b, c);
        CHECK(std::bit_cast<uint32_t>(emulated_multiply_add(a, b, c)) == std::bit_cast<uint32_t>(expected));
      }
    }
  }
  CHECK(std::isnan(emulated_multiply_add(std::nanf(""), 1, 1)));
  CHECK(std::isnan(emulated_multiply_add(1, 1, std::nanf(""))));
  CHECK(emulated_multiply_add(1, infinity, 1) == infinity);
}

TEST_CASE("output_line: a number is rounded to bf16 as by the instruction, with and without it") {
  const auto check_line = [](const float(&numbers)[line_columns]) {
    Line line;
    load_line(numbers, line);
    BFloat16 stored[line_columns];
    store_line(line, stored);
    for (int64_t i = 0; i < line_columns; ++i) {
      BFloat16 expected;
      store_rounded(numbers[i], &expected);
      const auto lanes = rounded_to_bf16(line[i / float_lanes]);
      CAPTURE(numbers[i]);
      REQUIRE(stored[i].bits == expected.bits);
      REQUIRE(lanes[i % float_lanes] == expected.bits);
    }
  };
  // Every upper half, with lower halves around those where the rounding changes.
  for (const uint32_t lower : {0x0000u, 0x0001u, 0x7fffu, 0x8000u, 0x8001u, 0xffffu}) {
    for (uint32_t upper = 0; upper < 0x10000; upper += line_columns) {
      float numbers[line_columns];
      for (uint32_t i = 0; i < line_columns; ++i)
        numbers[i] = std::bit_cast<float>((upper + i) << 16 | lower);
      check_line(numbers);
    }
  }
}
