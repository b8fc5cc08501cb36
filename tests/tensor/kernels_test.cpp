// The kernels that no function of tensor/ops.h calls: dropout, interpolate, the optimizer's.
#include "tensor/kernels.h"

#include <doctest/doctest.h>

#include <cmath>

#include "tensor/ops.h"
#include "tests/support.h"

using namespace nabla;

namespace {

void check_close(const Tensor& x, const std::vector<double>& expected, double tolerance) {
  const auto values = x.to_vector<double>();
  REQUIRE(values.size() == expected.size());
  double error = 0;
  for (size_t i = 0; i < values.size(); ++i) error = std::max(error, std::abs(values[i] - expected[i]));
  CHECK(error <= tolerance);
}

}  // namespace

TEST_CASE("dropout: word for word what the stream says, in every dtype and size") {
  const double p = 0.3;
  for (Dtype dtype : {Dtype::f32, Dtype::f64, Dtype::bf16}) {
    for (int64_t count : {1, 5, 256, 259, 70001}) {
      const Tensor x = Tensor::full({count}, 3, dtype), y = Tensor::empty_like(x);
      kernels_for(x).dropout(x, p, 42, 1000, y);
      const auto values = y.to_vector<double>();
      int64_t wrong = 0;
      for (int64_t i = 0; i < count; ++i) {
        const bool kept = static_cast<double>(uniform_from(philox(42, 1000 + i / 4).word[i % 4])) >= p;
        wrong += std::abs(values[i] - (kept ? 3 / (1 - p) : 0.0)) > (dtype == Dtype::bf16 ? 2e-2 : 1e-6);
      }
      CHECK(wrong == 0);
    }
  }
}

TEST_CASE("dropout: nothing at p = 0, everything at p = 1") {
  const Tensor x = Tensor::arange(1000, Dtype::f32), y = Tensor::empty_like(x);
  kernels_for(x).dropout(x, 0.0, 1, 0, y);
  CHECK(y.to_vector<float>() == x.to_vector<float>());
  kernels_for(x).dropout(x, 1.0, 1, 0, y);
  CHECK(y.to_vector<float>() == std::vector<float>(1000, 0.0f));
}

// Expected values: torch.nn.functional.interpolate and its gradient in float64; dy = 1, 2, 3, ...
TEST_CASE("interpolate: values and gradients of PyTorch") {
  const Tensor x = Tensor::from<double>({3, -1, 4, 1, -5, 9, 2, -6, 5, 3, -5, 8}, {1, 3, 4});
  const auto forward = [&](int64_t height, int64_t width, const InterpolateArgs& args) {
    const Tensor y = Tensor::empty({1, height, width}, Dtype::f64);
    kernels_for(x).interpolate(x, args, y);
    return y;
  };
  const auto backward = [&](int64_t height, int64_t width, const InterpolateArgs& args) {
    const Tensor dy = Tensor::arange(height * width, Dtype::f64).reshape({1, height, width}) + 1.0;
    const Tensor dx = Tensor::empty_like(x);
    kernels_for(x).interpolate_backward(dy, args, dx);
    return dx;
  };
  constexpr auto nearest = InterpolateMode::nearest, bilinear = InterpolateMode::bilinear,
                 bicubic = InterpolateMode::bicubic;
  check_close(forward(5, 2, {bilinear}), {1, 2.5, 1.4, 0.7, 2, -2, 3.2, 0.1, 4, 1.5}, 1e-14);
  check_close(forward(5, 2, {bilinear, true}), {3, 1, -1, -2.5, -5, -6, 0, 1, 5, 8}, 1e-14);
  check_close(forward(5, 2, {bicubic}),
              {0.32725, 3.50875, 1.205, 0.541, 2.65625, -2.65625, 4.090625, -0.976625, 4.951, 1.077}, 1e-14);
  check_close(forward(2, 6, {bicubic, true}),
              {3, 0.012, -0.432, 3.312, 3.376, 1, 5, 4.64, 1.088, -4.888, -0.82, 8}, 1e-13);
  check_close(forward(5, 2, {nearest}), {3, 4, 3, 4, -5, 2, -5, 2, 5, -5}, 0);
  // DINOv2's position table: scale_factor (5.1 / 3, 2.1 / 4) instead of the sizes' own ratio.
  check_close(
      forward(5, 2, {bicubic, false, 3 / 5.1, 4 / 2.1}),
      {0.6920216203105369, 4.0212507580887, 0.9798405141264037, 1.6740855138938384, 1.75429610781346,
       -1.3875510637785031, 3.5888393510655736, -1.8858885195514183, 5.015383408570042, -1.4522997191261104},
      1e-13);
  check_close(backward(5, 2, {bilinear}), {1.4, 1.4, 2.2, 2.2, 4.5, 4.5, 5.4, 5.4, 6.6, 6.6, 7.4, 7.4},
              1e-13);
  check_close(backward(2, 6, {bicubic, true}),
              {1.392, 4.46, 7.664, 7.484, 0, 0, 0, 0, 9, 14.852, 18.056, 15.092}, 1e-13);
  check_close(backward(5, 2, {nearest}), {4, 0, 6, 0, 12, 0, 14, 0, 9, 0, 10, 0}, 0);
}

TEST_CASE("interpolate: backward is the transpose of forward, on many planes") {
  Generator generator(1);
  for (InterpolateMode mode :
       {InterpolateMode::nearest, InterpolateMode::bilinear, InterpolateMode::bicubic}) {
    for (bool align_corners : {false, true}) {
      const InterpolateArgs args{mode, align_corners};
      const Tensor x = Tensor::normal({40, 13, 9}, 0, 1, generator, Dtype::f64), dx = Tensor::empty_like(x);
      const Tensor dy = Tensor::normal({40, 31, 5}, 0, 1, generator, Dtype::f64), y = Tensor::empty_like(dy);
      kernels_for(x).interpolate(x, args, y);
      kernels_for(x).interpolate_backward(dy, args, dx);
      const double forward = reduce(Reduce::sum, y * dy).item(),
                   backward = reduce(Reduce::sum, x * dx).item();
      CHECK(forward == doctest::Approx(backward).epsilon(1e-11));
    }
  }
}

TEST_CASE("interpolate: the same size changes nothing; f32 and bf16 follow f64") {
  Generator generator(2);
  const Tensor x = Tensor::uniform({3, 28, 28}, -1, 1, generator, Dtype::f64);
  for (InterpolateMode mode :
       {InterpolateMode::nearest, InterpolateMode::bilinear, InterpolateMode::bicubic}) {
    const Tensor same = Tensor::empty_like(x);
    kernels_for(x).interpolate(x, {mode, false}, same);
    CHECK(same.to_vector<double>() == x.to_vector<double>());
    const Tensor wide = Tensor::empty({3, 65, 50}, Dtype::f64);
    kernels_for(x).interpolate(x, {mode, true}, wide);
    for (Dtype dtype : {Dtype::f32, Dtype::bf16}) {
      const Tensor narrow = Tensor::empty({3, 65, 50}, dtype);
      kernels_for(x).interpolate(x.to(dtype), {mode, true}, narrow);
      check_close(narrow, wide.to_vector<double>(), dtype == Dtype::f32 ? 1e-6 : 2e-2);
    }
  }
}

TEST_CASE("sum_of_squares: over tensors of all sizes and dtypes") {
  Generator generator(3);
  const std::vector<Tensor> tensors{
      Tensor::normal({70001}, 0, 1, generator), Tensor::normal({}, 0, 1, generator), Tensor::empty({0}),
      Tensor::normal({3, 5}, 0, 1, generator, Dtype::bf16), Tensor::normal({9}, 0, 1, generator, Dtype::f64)};
  double expected = 0;
  for (const Tensor& tensor : tensors) {
    for (double value : tensor.to_vector<double>()) expected += value * value;
  }
  const Tensor out = Tensor::empty({1}, Dtype::f64), again = Tensor::empty({1}, Dtype::f64);
  kernels_for(out).sum_of_squares(tensors, out);
  kernels_for(out).sum_of_squares(tensors, again);
  CHECK(out.item() == doctest::Approx(expected).epsilon(1e-12));
  CHECK(out.item() == again.item());
}

// On every device there is.
TEST_CASE("kth_largest and clip_factor, also on CUDA: what they read is in tensors") {
  std::vector<Device> devices{Device::cpu()};
  if (has_cuda("kth_largest and clip_factor")) devices.push_back(Device::cuda());
  for (const Device& device : devices) {
    const Tensor x = Tensor::from(std::vector<float>{3, -1, 4, 1, -5, 9, 4}, {7}).to(device);
    const Tensor k = Tensor::empty({1}, Dtype::i64, device), found = Tensor::empty({1}, Dtype::f32, device);
    const std::vector<double> ordered{9, 4, 4, 3, 1, -1, -5};
    for (size_t i = 0; i < ordered.size(); ++i) {
      k.fill(static_cast<double>(i + 1));
      kernels_for(device).kth_largest(x, k, found);
      CHECK(found.item() == ordered[i]);
    }
    const Tensor squares = Tensor::full({1}, 9, Dtype::f64, device),
                 out = Tensor::empty({2}, Dtype::f64, device);
    kernels_for(device).clip_factor(squares, 1.5, out);
    CHECK(out.to_vector<double>() == std::vector<double>{3, 1.5 / (3 + 1e-6)});
    kernels_for(device).clip_factor(squares, 30, out);
    CHECK(out.to_vector<double>() == std::vector<double>{3, 1});
    squares.fill(NAN);
    kernels_for(device).clip_factor(squares, 30, out);
    CHECK(std::isnan(out.to_vector<double>()[1]));  // not 1: gradients with a NaN are no small ones
  }
}

namespace {

// StableAdamW with AMSGrad, one element after the other, in double.
struct ScalarAdam {
  std::vector<double> p, m, v, most;

  void step(const std::vector<double>& gradient, const StableAdamWArgs& args, double rate, int number,
            double scale) {
    const double bias1 = 1 - std::pow(args.beta1, number), bias2 = 1 - std::pow(args.beta2, number);
    double squares = 0;
    std::vector<double> denominator(p.size());
    for (size_t i = 0; i < p.size(); ++i) {
      const double g = gradient[i] * scale;
      m[i] = args.beta1 * m[i] + (1 - args.beta1) * g;
      v[i] = args.beta2 * v[i] + (1 - args.beta2) * g * g;
      most[i] = std::max(most[i], v[i]);
      denominator[i] = std::sqrt(most[i]) / std::sqrt(bias2) + args.eps;
      squares += g / denominator[i] * (g / denominator[i]);
    }
    const double r = std::max(1.0, std::sqrt(squares / static_cast<double>(p.size())));
    for (size_t i = 0; i < p.size(); ++i) {
      p[i] = p[i] * (1 - rate * args.weight_decay) - rate / bias1 / r * m[i] / denominator[i];
    }
  }
};

void take_step(const std::vector<AdamSlot>& slots, const StableAdamWArgs& args, double rate, int number,
               double scale) {
  kernels_for(Device::cpu())
      .stable_adamw(slots, args, Tensor::from(std::vector<double>{rate, static_cast<double>(number)}, {2}),
                    Tensor::full({1}, scale, Dtype::f64));
}

}  // namespace

TEST_CASE("stable_adamw: five steps on tensors of all sizes") {
  for (Dtype dtype : {Dtype::f64, Dtype::f32}) {
    Generator generator(4);
    std::vector<AdamSlot> slots;
    std::vector<ScalarAdam> expected;
    for (const Shape& shape : {Shape{}, Shape{17}, Shape{300, 131}, Shape{0}}) {
      const Tensor p = Tensor::normal(shape, 0, 0.1, generator, dtype);
      slots.push_back({p, Tensor::zeros(shape, dtype), Tensor::zeros(shape, dtype),
                       Tensor::zeros(shape, dtype), Tensor::zeros(shape, dtype)});
      const std::vector<double> zeros(static_cast<size_t>(p.numel()));
      expected.push_back({p.to_vector<double>(), zeros, zeros, zeros});
    }
    for (int step = 1; step <= 5; ++step) {
      const StableAdamWArgs args{0.9, 0.999, 1e-10, 1e-1};
      for (size_t i = 0; i < slots.size(); ++i) {
        // Steps of different size, so that r is above 1 in some and 1 in others.
        slots[i].gradient =
            Tensor::normal(slots[i].parameter.shape(), 0, step % 2 == 1 ? 3.0 : 0.1, generator, dtype);
        expected[i].step(slots[i].gradient.to_vector<double>(), args, 2e-3, step, 0.25);
      }
      take_step(slots, args, 2e-3, step, 0.25);
    }
    for (size_t i = 0; i < slots.size(); ++i) {
      check_close(slots[i].parameter, expected[i].p, dtype == Dtype::f64 ? 1e-15 : 1e-6);
      check_close(slots[i].max_second_moment, expected[i].most, dtype == Dtype::f64 ? 1e-15 : 1e-6);
    }
  }
}

TEST_CASE("stable_adamw: bf16 parameters with a wider state; mixed-up dtypes are refused") {
  Generator generator(5);
  const Tensor p = Tensor::normal({100}, 0, 1, generator, Dtype::bf16);
  const Tensor g = Tensor::normal({100}, 0, 1, generator, Dtype::bf16);
  const auto zeros = [](Dtype dtype) { return Tensor::zeros({100}, dtype); };
  ScalarAdam expected{p.to_vector<double>(), std::vector<double>(100), std::vector<double>(100),
                      std::vector<double>(100)};
  const StableAdamWArgs args{0.9, 0.999, 1e-8, 1e-4};
  expected.step(g.to_vector<double>(), args, 0.1, 1, 1);
  const std::vector<AdamSlot> slots{{p, g, zeros(Dtype::f32), zeros(Dtype::f32), zeros(Dtype::f32)}};
  take_step(slots, args, 0.1, 1, 1);
  check_close(p, expected.p, 2e-2);
  const std::vector<AdamSlot> mixed{{p, g, zeros(Dtype::bf16), zeros(Dtype::f32), zeros(Dtype::f32)}};
  CHECK_THROWS_AS(take_step(mixed, args, 0.1, 1, 1), Error);
}
