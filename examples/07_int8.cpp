// 07: one channel that is far larger than the others costs int8 its accuracy, and smoothing gives it back.
//
//   build/bin/07_int8 [PICTURE.png]
//
// The picture is docs/outlier.png: the numbers of all tokens, with an outlier of 1000, before and after smoothing.
//
// Expected output:
//   outlier          1       10      100     1000     4000
//   plain        0.9 %    1.9 %   18.5 %   82.7 %   94.2 %
//   smoothed     0.8 %    0.8 %    0.8 %    0.8 %    0.8 %
#include <fmt/core.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <functional>
#include <memory>
#include <vector>

#include "dinomaly/base/framework.h"
#include "dinomaly/base/program.h"
#include "dinomaly/image/image.h"
#include "nn/quantize.h"

using namespace dinomaly;

constexpr int64_t width = 64, tokens = 48, outlier_channel = 20;

struct Problem {
  Tensor x;  // (tokens, width), normal but for one channel, which is `outlier` times as large
  std::unique_ptr<Linear> layer;  // has that channel's weights divided by as much
};

static Problem problem_of(float outlier) {
  Generator generator(7);
  std::vector<float> factors(static_cast<size_t>(width), 1.0f);
  factors[outlier_channel] = outlier;
  const Tensor scale = Tensor::from(factors, {width});
  auto layer = std::make_unique<Linear>(width, width);
  layer->weight.set_value(Tensor::normal({width, width}, 0, 0.1, generator) / scale);
  layer->set_requires_grad(false);
  return {Tensor::normal({tokens, width}, 0, 1, generator) * scale, std::move(layer)};
}

static double norm(const Tensor& x) {
  double sum = 0;
  for (const float value : x.to_vector<float>()) sum += static_cast<double>(value) * value;
  return std::sqrt(sum);
}

// How far the quantised layer's result is from the layer's own, as a share of that.
static double error_of(float outlier, bool smoothed) {
  const NoGrad guard;
  Problem problem = problem_of(outlier);
  const Variable x(problem.x);
  const Tensor expected = (*problem.layer)(x).value();
  quantize(*problem.layer, smoothed ? std::function<void()>([&] { (*problem.layer)(x); }) : nullptr);
  return norm((*problem.layer)(x).value() - expected) / norm(expected);
}

// Every |x| as a dot over its channel, on a logarithmic scale from 0.001 to 10,000: grey where int8 makes it 0.
static void draw_numbers(Image& picture, int64_t left, const Tensor& x) {
  constexpr int64_t margin = 12, step = 6, decade = 44;
  const auto height_of = [&](float value) {
    const double place = std::log10(std::max(std::abs(value), 1e-3f)) + 3;
    return picture.height - margin - std::lround(place * decade);
  };
  const auto dot = [&](int64_t column, int64_t row, int64_t size, const std::array<uint8_t, 3>& colour) {
    for (int64_t dy = 0; dy < size; ++dy) {
      for (int64_t dx = 0; dx < size; ++dx) std::copy_n(colour.data(), 3, picture.at(column + dx, row + dy));
    }
  };
  for (int power = -3; power <= 4; ++power) {
    for (int64_t i = 0; i < width * step; ++i)
      dot(left + i, height_of(std::pow(10.0f, static_cast<float>(power))), 1, {225, 225, 225});
  }
  const auto [quantized, scale] = quantize_rows(x);
  const auto values = x.to_vector<float>();
  const auto integers = quantized.to_vector<int64_t>();
  for (size_t i = 0; i < values.size(); ++i) {
    const int64_t channel = static_cast<int64_t>(i) % width;
    dot(left + channel * step + 1, height_of(values[i]) - 1, 3,
        integers[i] == 0 ? std::array<uint8_t, 3>{190, 190, 190} : std::array<uint8_t, 3>{25, 90, 180});
  }
}

static void draw(const std::string& path) {
  Problem problem = problem_of(1000);
  const NoGrad guard;
  const Variable x(problem.x);
  quantize(*problem.layer, [&] { (*problem.layer)(x); });
  Image picture(864, 336, 3);
  std::fill(picture.pixels.begin(), picture.pixels.end(), uint8_t{255});
  draw_numbers(picture, 24, problem.x);
  draw_numbers(picture, 456, problem.x * problem.layer->input_scale.value());
  save_png(path, picture);
}

int main(int argc, char** argv) {
  return run_program("07_int8", [&] {
    check_input(argc <= 2, "expected at most one argument, the picture's file");
    const std::vector<float> outliers{1, 10, 100, 1000, 4000};
    fmt::print("{:<9}", "outlier");
    for (const float outlier : outliers) fmt::print("{:>9}", outlier);
    for (const bool smoothed : {false, true}) {
      fmt::print("\n{:<9}", smoothed ? "smoothed" : "plain");
      for (const float outlier : outliers) fmt::print("{:>7.1f} %", 100 * error_of(outlier, smoothed));
    }
    fmt::print("\n");
    if (argc == 2) draw(argv[1]);
    return 0;
  });
}
