#include <doctest/doctest.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <utility>

#include "tests/ops/op_case.h"

namespace nabla {

namespace {

OpFunction convolution(const Conv2dArgs& args) {
  return [args](Inputs in) { return conv2d(in[0], in[1], in.size() > 2 ? in[2] : Variable(), args); };
}

OpCase conv2d_case{
    "conv2d",
    {{2, 3, 5, 6}, {4, 3, 3, 2}, {4}},
    convolution({}),
    {.also = {{{1, 1, 1, 1}, {1, 1, 1, 1}, {1}},
              {{0, 2, 4, 4}, {3, 2, 2, 2}, {3}},
              {{1, 2, 3, 9}, {5, 2, 3, 3}},
              {{1, 2, 4, 19}, {3, 2, 3, 2}, {3}}},
     .wrong = {
         {{{2, 3, 5, 6}, {4, 2, 3, 3}, {4}}, "conv2d: weight (4, 2, 3, 3) does not fit x (2, 3, 5, 6)"},
         {{{2, 3, 5, 6}, {4, 3, 3, 3}, {3}}, "conv2d: bias (3) does not fit weight (4, 3, 3, 3)"},
         {{{2, 3, 5, 6}, {4, 3, 6, 3}}, "conv2d: the kernel of weight (4, 3, 6, 3) does not fit into x"},
         {{{3, 5, 6}, {4, 3, 3, 3}}, "conv2d: x (3, 5, 6) and weight (4, 3, 3, 3) are not"}}}};
OpCase conv2d_stride{"conv2d.stride_padding",
                     {{1, 2, 7, 6}, {3, 2, 3, 2}},
                     convolution({.stride_y = 2, .stride_x = 3, .padding_y = 1, .padding_x = 2})};
OpCase conv2d_groups{
    "conv2d.groups",
    {{2, 4, 5, 4}, {6, 2, 3, 3}, {6}},
    convolution({.padding_y = 1, .padding_x = 1, .groups = 2}),
    {.wrong = {
         {{{2, 3, 5, 6}, {4, 2, 3, 3}}, "conv2d: 2 groups do not divide the channels of x (2, 3, 5, 6)"},
         {{{2, 4, 5, 6}, {3, 2, 3, 3}}, "conv2d: 2 groups do not divide the channels"}}}};
OpCase conv2d_depthwise{"conv2d.depthwise", {{1, 3, 4, 5}, {3, 1, 2, 3}, {3}}, convolution({.groups = 3})};
OpCase conv2d_patches{
    "conv2d.patches", {{1, 3, 8, 9}, {5, 3, 4, 4}, {5}}, convolution({.stride_y = 4, .stride_x = 4})};

}  // namespace

TEST_CASE("conv2d refuses strides and paddings that mean nothing") {
  const Variable x(Tensor::ones({1, 1, 3, 3})), weight(Tensor::ones({1, 1, 2, 2}));
  CHECK_THROWS_WITH_AS(conv2d(x, weight, {}, {.stride_y = 0}),
                       "conv2d: stride (0, 1) must be at least 1 and padding (0, 0) not negative", Error);
  CHECK_THROWS_WITH_AS(conv2d(x, weight, {}, {.padding_x = -1}),
                       "conv2d: stride (1, 1) must be at least 1 and padding (0, -1) not negative", Error);
  CHECK_THROWS_WITH_AS(
      conv2d(x, weight, {}, {.groups = 0}),
      "conv2d: 0 groups do not divide the channels of x (1, 1, 3, 3) and weight (1, 1, 2, 2)", Error);
}

// f32 goes row by row, f64 by the columns of patches.
TEST_CASE("conv2d: each channel by itself, with any padding") {
  Generator generator(3);
  for (const int64_t width : {3, 64, 131}) {
    for (const auto& padding : {std::pair<int64_t, int64_t>{0, 2}, {2, 2}, {1, 4}, {7, 70}}) {
      CAPTURE(width);
      CAPTURE(padding.second);
      const Conv2dArgs args{.padding_y = padding.first, .padding_x = padding.second, .groups = 3};
      const Variable x(Tensor::normal({2, 3, 6, width}, 0, 1, generator, Dtype::f64)),
          weight(Tensor::normal({3, 1, 3, 5}, 0, 1, generator, Dtype::f64)),
          bias(Tensor::normal({3}, 0, 1, generator, Dtype::f64));
      const auto narrow = [](const Variable& of) { return Variable(of.value().to(Dtype::f32)); };
      for (const bool with_bias : {false, true}) {
        const auto expected =
            conv2d(x, weight, with_bias ? bias : Variable(), args).value().to_vector<double>();
        const auto y = conv2d(narrow(x), narrow(weight), with_bias ? narrow(bias) : Variable(), args)
                           .value()
                           .to_vector<double>();
        REQUIRE(y.size() == expected.size());
        double worst = 0;
        for (size_t i = 0; i < y.size(); ++i) worst = std::max(worst, std::abs(y[i] - expected[i]));
        CHECK(worst < 1e-5);
      }
    }
  }
}

// Images that the patches do not fill, and fewer outputs than a tile of the product has rows.
TEST_CASE("conv2d: patches that do not overlap, as a product") {
  Generator generator(4);
  for (const Dtype dtype : {Dtype::f32, Dtype::bf16}) {
    for (const auto& sizes : {std::array<int64_t, 3>{40, 14, 14}, {70, 16, 16}, {6, 3, 5}, {2, 4, 4}}) {
      const int64_t outputs = sizes[0], kernel_y = sizes[1], kernel_x = sizes[2];
      CAPTURE(kernel_x);
      const Conv2dArgs args{.stride_y = kernel_y, .stride_x = kernel_x};
      const double spread = 1 / std::sqrt(static_cast<double>(3 * kernel_y * kernel_x));
      const Variable x(Tensor::normal({2, 3, 5 * kernel_y + 1, 3 * kernel_x + 2}, 0, 1, generator).to(dtype)),
          weight(Tensor::normal({outputs, 3, kernel_y, kernel_x}, 0, spread, generator).to(dtype)),
          bias(Tensor::normal({outputs}, 0, 1, generator).to(dtype));
      const auto wide = [](const Variable& of) { return Variable(of.value().to(Dtype::f64)); };
      for (const bool with_bias : {false, true}) {
        const Variable with = with_bias ? bias : Variable();
        const auto expected =
            conv2d(wide(x), wide(weight), with_bias ? wide(bias) : with, args).value().to_vector<double>();
        const auto y = conv2d(x, weight, with, args).value().to_vector<double>();
        REQUIRE(y.size() == expected.size());
        double worst = 0;
        for (size_t i = 0; i < y.size(); ++i) worst = std::max(worst, std::abs(y[i] - expected[i]));
        CHECK(worst < (dtype == Dtype::f32 ? 1e-5 : 0.04));
      }
    }
  }
}

}  // namespace nabla
