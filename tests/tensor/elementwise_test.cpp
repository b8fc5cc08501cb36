// The elementwise kernels through tensor/ops.h: every function, every way its operands can lie in memory.
#include "tensor/elementwise.h"

#include <doctest/doctest.h>

#include <cmath>
#include <functional>
#include <limits>

#include "tensor/kernels.h"
#include "tensor/ops.h"

using namespace nabla;

namespace {

struct Case {
  const char* name;
  Unary op;
  UnaryArgs args;
  double low, high;
  std::function<double(double)> value, derivative;
};

double normal_cdf(double x) { return 0.5 * std::erfc(-x / std::sqrt(2.0)); }
double logistic(double x) { return 1 / (1 + std::exp(-x)); }

// Ranges leave out the places where a derivative jumps.
const std::vector<Case>& cases() {
  static const std::vector<Case> all{
      {"neg", Unary::neg, {}, -3, 3, [](double x) { return -x; }, [](double) { return -1; }},
      {"abs",
       Unary::abs,
       {},
       -3,
       3,
       [](double x) { return std::abs(x); },
       [](double x) { return x > 0 ? 1 : -1; }},
      {"exp",
       Unary::exp,
       {},
       -3,
       3,
       [](double x) { return std::exp(x); },
       [](double x) { return std::exp(x); }},
      {"log", Unary::log, {}, 0.1, 3, [](double x) { return std::log(x); }, [](double x) { return 1 / x; }},
      {"sqrt",
       Unary::sqrt,
       {},
       0.1,
       3,
       [](double x) { return std::sqrt(x); },
       [](double x) { return 0.5 / std::sqrt(x); }},
      {"rsqrt",
       Unary::rsqrt,
       {},
       0.1,
       3,
       [](double x) { return 1 / std::sqrt(x); },
       [](double x) { return -0.5 * std::pow(x, -1.5); }},
      {"square", Unary::pow, {2, 0}, -3, 3, [](double x) { return x * x; }, [](double x) { return 2 * x; }},
      {"pow",
       Unary::pow,
       {2.5, 0},
       0.1,
       3,
       [](double x) { return std::pow(x, 2.5); },
       [](double x) { return 2.5 * std::pow(x, 1.5); }},
      {"clamp",
       Unary::clamp,
       {-1, 2},
       -3,
       3,
       [](double x) { return std::min(std::max(x, -1.0), 2.0); },
       [](double x) { return x >= -1 && x <= 2 ? 1 : 0; }},
      {"relu",
       Unary::relu,
       {},
       -3,
       3,
       [](double x) { return std::max(x, 0.0); },
       [](double x) { return x > 0; }},
      {"gelu",
       Unary::gelu,
       {},
       -3,
       3,
       [](double x) { return x * normal_cdf(x); },
       [](double x) { return normal_cdf(x) + x * std::exp(-0.5 * x * x) / std::sqrt(2 * M_PI); }},
      {"silu",
       Unary::silu,
       {},
       -3,
       3,
       [](double x) { return x * logistic(x); },
       [](double x) { return logistic(x) * (1 + x * (1 - logistic(x))); }},
      {"sigmoid",
       Unary::sigmoid,
       {},
       -3,
       3,
       logistic,
       [](double x) { return logistic(x) * (1 - logistic(x)); }},
      {"tanh",
       Unary::tanh,
       {},
       -3,
       3,
       [](double x) { return std::tanh(x); },
       [](double x) { return 1 - std::tanh(x) * std::tanh(x); }},
      {"elu",
       Unary::elu,
       {0.7, 0},
       -3,
       3,
       [](double x) { return x > 0 ? x : 0.7 * std::expm1(x); },
       [](double x) { return x > 0 ? 1 : 0.7 * std::exp(x); }},
      {"affine", Unary::affine, {3, -2}, -3, 3, [](double x) { return 3 * x - 2; }, [](double) { return 3; }},
  };
  return all;
}

double tolerance(Dtype dtype) { return dtype == Dtype::f64 ? 1e-14 : dtype == Dtype::f32 ? 1e-6 : 2e-2; }

}  // namespace

TEST_CASE("unary: values and derivatives in every floating dtype") {
  Generator generator(1);
  for (const Case& test : cases()) {
    CAPTURE(test.name);
    for (Dtype dtype : {Dtype::f32, Dtype::f64, Dtype::bf16}) {
      const Tensor x = Tensor::uniform({37, 5}, test.low, test.high, generator, dtype);
      const Tensor y = unary(test.op, x, test.args);
      const Tensor dy = Tensor::uniform({37, 5}, -1, 1, generator, dtype);
      const Tensor dx = Tensor::empty_like(x);
      kernels_for(x).unary_backward(test.op, dy, x, y, test.args, dx);
      const auto xs = x.to_vector<double>(), ys = y.to_vector<double>(), dys = dy.to_vector<double>(),
                 dxs = dx.to_vector<double>();
      double error = 0;
      for (size_t i = 0; i < xs.size(); ++i) {
        const double value = test.value(xs[i]), slope = test.derivative(xs[i]) * dys[i];
        error = std::max(error, std::abs(ys[i] - value) / (1 + std::abs(value)));
        error = std::max(error, std::abs(dxs[i] - slope) / (1 + std::abs(slope)));
      }
      CHECK(error < tolerance(dtype));
    }
  }
}

TEST_CASE("unary: strided inputs, an expanded gradient, in place") {
  Generator generator(2);
  const Tensor base = Tensor::uniform({6, 70, 4}, -2, 2, generator);
  for (const Tensor& x :
       {base.permute({2, 1, 0}), base.slice(1, 3, 67, 3), base.select(1, 2).unsqueeze(1).expand({6, 9, 4})}) {
    const Tensor dense = x.contiguous();
    const Tensor y = unary(Unary::gelu, x), expected = unary(Unary::gelu, dense);
    CHECK(y.to_vector<float>() == expected.to_vector<float>());
    const Tensor dy = Tensor::full({}, 0.5).expand(x.shape());
    const Tensor a = Tensor::empty_like(y), b = Tensor::empty_like(y);
    kernels_for(x).unary_backward(Unary::gelu, dy, x, y, {}, a);
    kernels_for(x).unary_backward(Unary::gelu, dy.contiguous(), dense, y, {}, b);
    CHECK(a.to_vector<float>() == b.to_vector<float>());
    kernels_for(x).unary(Unary::gelu, dense, {}, dense);
    CHECK(dense.to_vector<float>() == expected.to_vector<float>());
  }
}

TEST_CASE("unary: NaN passes through, integers are refused") {
  const Tensor x = Tensor::full({3}, std::numeric_limits<double>::quiet_NaN());
  for (const Case& test : cases()) {
    CAPTURE(test.name);
    CHECK_UNARY(std::isnan(unary(test.op, x, test.args).to_vector<float>()[1]));
  }
  CHECK_THROWS_WITH_AS(unary(Unary::exp, Tensor::arange(2)), "unary: expected a floating tensor, got i64",
                       Error);
}

TEST_CASE("binary: all ops and dtypes under every kind of broadcasting") {
  Generator generator(3);
  const std::vector<std::pair<Shape, Shape>> shapes{{{3, 4, 5}, {3, 4, 5}},
                                                    {{3, 4, 5}, {5}},
                                                    {{5}, {3, 4, 5}},
                                                    {{3, 4, 5}, {4, 1}},
                                                    {{3, 4, 5}, {}},
                                                    {{}, {3, 4, 5}},
                                                    {{3, 1, 5}, {1, 4, 1}},
                                                    {{}, {}},
                                                    {{2, 0, 3}, {3}},
                                                    {{70000}, {70000}},
                                                    {{2, 300, 128}, {2, 1, 128}}};
  for (const auto& [left, right] : shapes) {
    for (Dtype dtype : {Dtype::f32, Dtype::f64, Dtype::bf16, Dtype::i64}) {
      const Tensor a = Tensor::uniform(left, 1, 9, generator).to(dtype),
                   b = Tensor::uniform(right, 1, 9, generator).to(dtype);
      const Shape shape = broadcast_shapes("test", left, right);
      const auto as = a.expand(shape).to_vector<double>(), bs = b.expand(shape).to_vector<double>();
      for (Binary op : {Binary::add, Binary::sub, Binary::mul, Binary::div, Binary::maximum}) {
        if (op == Binary::div && dtype == Dtype::i64) continue;
        const Tensor result = binary(op, a, b);
        CHECK(result.shape() == shape);
        const auto values = result.to_vector<double>();
        double error = 0;
        for (size_t i = 0; i < values.size(); ++i) {
          const double expected = op == Binary::add   ? as[i] + bs[i]
                                  : op == Binary::sub ? as[i] - bs[i]
                                  : op == Binary::mul ? as[i] * bs[i]
                                  : op == Binary::div ? as[i] / bs[i]
                                                      : std::max(as[i], bs[i]);
          error = std::max(error, std::abs(values[i] - expected) / (1 + std::abs(expected)));
        }
        CHECK(error < tolerance(dtype));
      }
    }
  }
}

TEST_CASE("binary: errors name the op and both shapes") {
  const Tensor a = Tensor::ones({2, 3});
  CHECK_THROWS_WITH_AS(a + Tensor::ones({4}), "add: shapes (2, 3) and (4) do not broadcast", Error);
  CHECK_THROWS_WITH_AS(a * Tensor::ones({3}, Dtype::f64),
                       "mul: operands f32 (2, 3) on cpu and f64 (3) on cpu are not alike", Error);
  CHECK_THROWS_WITH_AS(Tensor::arange(3) / Tensor::arange(3), "div: expected a floating dtype, got i64",
                       Error);
  CHECK_THROWS_AS(a + Tensor{}, Error);
}

TEST_CASE("maximum: NaN wins on either side") {
  const float nan = std::numeric_limits<float>::quiet_NaN();
  const Tensor a = Tensor::from<float>({nan, 1, 2}, {3}), b = Tensor::from<float>({1, nan, 3}, {3});
  const auto values = binary(Binary::maximum, a, b).to_vector<float>();
  CHECK_UNARY(std::isnan(values[0]));
  CHECK_UNARY(std::isnan(values[1]));
  CHECK(values[2] == 3);
}

TEST_CASE("add_: in place, broadcasting to the target only") {
  const Tensor a = Tensor::zeros({2, 3});
  add_(a, Tensor::from<float>({1, 2, 3}, {3}));
  add_(a, a);
  CHECK(a.to_vector<float>() == std::vector<float>{2, 4, 6, 2, 4, 6});
  CHECK_THROWS_WITH_AS(add_(Tensor::zeros({3}), a), "add_: shape (2, 3) does not expand to (3)", Error);
  CHECK_THROWS_AS(add_(a.transpose(0, 1), Tensor::zeros({2})), Error);
}

TEST_CASE("compare: all relations, NaN, scalars") {
  const float nan = std::numeric_limits<float>::quiet_NaN();
  const Tensor a = Tensor::from<float>({1, 2, 3, nan}, {4});
  const auto result = [&](Compare op) { return compare(op, a, 2.0).to_vector<uint8_t>(); };
  using Bytes = std::vector<uint8_t>;
  CHECK(result(Compare::equal) == Bytes{0, 1, 0, 0});
  CHECK(result(Compare::not_equal) == Bytes{1, 0, 1, 1});
  CHECK(result(Compare::less) == Bytes{1, 0, 0, 0});
  CHECK(result(Compare::less_equal) == Bytes{1, 1, 0, 0});
  CHECK(result(Compare::greater) == Bytes{0, 0, 1, 0});
  CHECK(result(Compare::greater_equal) == Bytes{0, 1, 1, 0});
  CHECK(compare(Compare::less, Tensor::arange(3), Tensor::arange(3).unsqueeze(1)).to_vector<uint8_t>() ==
        Bytes{0, 0, 0, 1, 0, 0, 1, 1, 0});
  CHECK_THROWS_WITH_AS(compare(Compare::less, Tensor::arange(3), 0.5), "compare: 0.5 is not a value of i64",
                       Error);
}

TEST_CASE("where: broadcasting of all three operands") {
  const Tensor condition = Tensor::from<uint8_t>({1, 0}, {2, 1});
  const Tensor result = where(condition, Tensor::from<float>({1, 2, 3}, {3}), Tensor::full({}, -1));
  CHECK(result.to_vector<float>() == std::vector<float>{1, 2, 3, -1, -1, -1});
  // Larger than one piece of a parallel loop, and with a condition that does not advance.
  const Tensor x = Tensor::arange(100000, Dtype::f32);
  const Tensor odd = Tensor::from<uint8_t>({0, 1}, {2}).expand({50000, 2}).reshape({100000});
  const auto values = where(odd, x, x * -1.0).to_vector<float>();
  CHECK(values[99998] == -99998);
  CHECK(values[99999] == 99999);
  CHECK(where(Tensor::ones({1}, Dtype::u8), x, x * -1.0).to_vector<float>()[99998] == 99998);
  CHECK_THROWS_AS(where(Tensor::ones({2}), x, x), Error);
}
