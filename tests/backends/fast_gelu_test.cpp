#include "backends/cpu/fast_gelu.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>
#include <vector>

#include "backends/cpu/output_line.h"
#include "tensor/random.h"

using namespace nabla;

namespace {

constexpr float infinity = std::numeric_limits<float>::infinity();

double gelu(double x) { return 0.5 * x * std::erfc(-x / std::sqrt(2.0)); }

template <class Fit, size_t size>
void fast_gelu_of(float (&values)[size]) {
  constexpr int64_t step = gelu_vectors * float_lanes;
  static_assert(size % step == 0);
  for (float* from = values; from < values + size; from += step) {
    FloatVector x[gelu_vectors];
    memcpy(&x, from, sizeof x);
    fast_gelu<Fit>(x);
    memcpy(from, &x, sizeof x);
  }
}

template <class Fit>
double worst_error() {
  double worst = 0;
  for (int first = -12032; first < 12032; first += 64) {
    float x[64], y[64];
    for (int i = 0; i < 64; ++i) y[i] = x[i] = static_cast<float>(first + i) / 2000;
    fast_gelu_of<Fit>(y);
    for (int i = 0; i < 64; ++i) worst = std::max(worst, std::abs(y[i] - gelu(x[i])));
  }
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
  CHECK(worst_error<GeluFit>() < 9e-7);
  CHECK(worst_error<ShortGeluFit>() < 1.4e-5);
}

TEST_CASE("fast_gelu: zero, large numbers and NaN") {
  float x[64] = {0.0f, 100.0f, -100.0f, infinity, -infinity, std::nanf("")};
  fast_gelu_of<GeluFit>(x);
  CHECK(x[0] == 0.0f);
  CHECK(x[1] == 100.0f);
  CHECK(std::abs(x[2]) < 9e-7f);
  CHECK(x[3] == infinity);
  CHECK(std::abs(x[4]) < 9e-7f);
  CHECK(std::isnan(x[5]));
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
